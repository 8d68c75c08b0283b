"""HTTP/2 (RFC 9113) without I/O.

Reading order: `frames` (bytes), `headers` (HPACK and its caches), `stream`, `sending` (windows, output), `control`
(settings, pings, goodbyes), `connection` (frames in, events out), `budget` (floods), `events`.
"""
