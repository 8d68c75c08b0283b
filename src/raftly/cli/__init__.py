"""The command `raftly`: one file a command group, each imported only when it is asked for.

Reading order: `root` (the table of groups), then the group of interest. The library never imports this package, so
click and rich are needed by nobody but the command line: they come with the extra `cli`.
"""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["main"]

NEEDED: Final = ("click", "rich")


def main() -> None:
    """Run the command line; without the packages of the extra `cli`, say what to install and exit 2."""
    try:
        from raftly.cli.root import raftly

        raftly(prog_name="raftly")
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        print(
            f"the command line of raftly needs {error.name}, which is not installed: pip install 'raftly[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
