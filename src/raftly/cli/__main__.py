"""`python -m raftly.cli`: the command, where no script of that name was installed."""

from __future__ import annotations

from raftly.cli import main

main()
