"""Pages of one file, without anything from outside: a history that is not linearizable, and a run to scrub through.

    write_counterexample(path, violation)          who did what when, and the operation that nothing explains
    write_trace_page(path, events, title="...")    nodes, messages and faults over virtual time

What comes from a run is only ever text: it is escaped, or travels as JSON in which no `<` is left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeAlias, final

from raftly.testing.history import Operation
from raftly.testing.linearizability import Violation, explain

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

_WIDTH: Final = 1000
_LEFT: Final = 110
_LANE: Final = 46
_BAR: Final = 18
_STYLE: Final = """
:root { color-scheme: light dark; font: 14px/1.45 system-ui, sans-serif; }
body { margin: 1.5rem auto; max-width: 1180px; padding: 0 1rem; }
svg text { font: 12px ui-monospace, monospace; fill: currentColor; }
rect.ok { fill: #6aa5d8; } rect.unknown { fill: #b9b9b9; } rect.wrong { fill: #d8433b; }
line { stroke: currentColor; stroke-opacity: .25; }
pre { overflow: auto; padding: .8rem; border: 1px solid #8886; }
table { border-collapse: collapse; } td, th { padding: .15rem .7rem; text-align: left; border-bottom: 1px solid #8884; }
tr.wrong td { background: #d8433b33; font-weight: 600; }
"""


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{body}\n</body></html>\n"
    )


# --- a counterexample ---


def counterexample_page(violation: Violation, title: str = "Not linearizable") -> str:
    """A page that shows the operations around a violation: one lane a client, the one that nothing explains in red."""
    wrong = violation.operation
    shown = sorted([*violation.before, *violation.overlapping, wrong], key=lambda operation: operation.start)
    states = ", ".join(escape(repr(state)) for state in violation.states[:20])
    where = "" if violation.key is None else f" of key <code>{escape(repr(violation.key))}</code>"
    rows = "\n".join(
        f"<tr class={'wrong' if operation is wrong else 'fine'}><td>{operation.client}</td>"
        f"<td>{escape(str(operation))}</td><td>{operation.start:.6f}</td>"
        f"<td>{'never' if operation.is_unknown else f'{operation.end:.6f}'}</td></tr>"
        for operation in shown
    )
    before = f" Before it the state could only have been: <code>{states}</code>." if states else ""
    body = (
        f"<p>No order of the operations{where} explains <code>{escape(str(wrong))}</code> of client {wrong.client}."
        f"{before}</p>\n"
        f"{_timeline(shown, wrong)}\n"
        "<p>Red: the operation that nothing explains. Grey: nobody learned whether it took effect.</p>\n"
        f"<table><tr><th>client</th><th>operation</th><th>start</th><th>end</th></tr>\n{rows}</table>\n"
        f"<h2>As text</h2>\n<pre>{escape(explain(violation))}</pre>"
    )
    return _page(title, body)


def write_counterexample(path: str | Path, violation: Violation, title: str = "Not linearizable") -> None:
    """Write `counterexample_page` into a file.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).write_text(counterexample_page(violation, title), encoding="utf-8")


def _timeline(shown: Sequence[Operation], wrong: Operation) -> str:
    clients = sorted({operation.client for operation in shown})
    lo = min(operation.start for operation in shown)
    hi = max([wrong.end, *(operation.end for operation in shown if not operation.is_unknown)])
    scale = (_WIDTH - _LEFT) / ((hi - lo) or 1.0)
    parts: list[str] = []
    for number, client in enumerate(clients):
        y = number * _LANE + 20
        parts.append(f'<text x="0" y="{y + 14}">client {client}</text>')
        parts.append(f'<line x1="{_LEFT}" y1="{y + _BAR + 8}" x2="{_WIDTH}" y2="{y + _BAR + 8}"/>')
    for operation in shown:
        y = clients.index(operation.client) * _LANE + 20
        left = _LEFT + (operation.start - lo) * scale
        right = _WIDTH if operation.is_unknown else _LEFT + (operation.end - lo) * scale
        kind = "wrong" if operation is wrong else "unknown" if operation.is_unknown else "ok"
        text = escape(str(operation))
        parts.append(
            f'<g><title>{text}</title><rect class="{kind}" x="{left:.1f}" y="{y}" width="{max(right - left, 3):.1f}" '
            f'height="{_BAR}" rx="3"/><text x="{left + 3:.1f}" y="{y + 13}">{text[:60]}</text></g>'
        )
    height = len(clients) * _LANE + 30
    return f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" role="img">{"".join(parts)}</svg>'


# --- a run ---


@final
@dataclass(frozen=True, slots=True)
class TraceEvent:
    """Something that happened at `at` seconds of virtual time.

    `kind` says what `data` holds; all but `at`, `kind` and `node` may be left out:

        state      of `node`: role ("leader", "follower", ...; "down" when it does not run), term, commit, applied, last
        message    from `node`: to, text, and `until` when it arrived, or None when it was lost
        fault      `node` is who it strikes ("" for more than one): text, until
        call       a client's (`node`): text, until, result
        note       text
    """

    at: float
    kind: str
    node: str = ""
    data: dict[str, Json] = field(default_factory=dict)


def trace_page(events: Iterable[TraceEvent], title: str = "A simulated run") -> str:
    """A page to move through the virtual time of a run: roles, terms, logs, messages on their way, faults, calls."""
    rows = [[event.at, event.kind, event.node, event.data] for event in sorted(events, key=lambda event: event.at)]
    data = json.dumps(rows, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":  # so that nothing ends the script, or begins another
        data = data.replace(character, f"\\u{ord(character):04x}")
    script = files("raftly.testing").joinpath("trace_page.js").read_text(encoding="utf-8")
    body = (
        '<div id="view"></div>\n'
        f'<script type="application/json" id="events">{data}</script>\n'
        f"<script>\n{script}</script>"
    )
    return _page(title, body)


def write_trace_page(path: str | Path, events: Iterable[TraceEvent], title: str = "A simulated run") -> None:
    """Write `trace_page` into a file.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).write_text(trace_page(events, title), encoding="utf-8")
