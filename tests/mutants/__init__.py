"""Planted faults: one rule of the library broken at a time, to see which test or seed notices.

    fault.py       what a fault is, and how it is put into a copy of the tree
    core.py, log.py, snapshot.py, node.py, session.py, transport.py, store.py     the catalogue, by layer
    catalogue.py   all of it, and the rows of the bug catalogue that do not apply, with the reason
    hunt.py        the commands that look for one fault, until one of them fails
    report.py      what came of it
    __main__.py    python -m tests.mutants

Why: a test that nothing can make fail proves nothing. Random seeds miss the sharpest faults, so each has directed
tests that are run first; `--random` leaves those out, to see what chance alone finds.
"""
