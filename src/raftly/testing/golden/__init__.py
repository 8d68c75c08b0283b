"""Golden scripts: text files of directives and the exact text that must come out of each.

The format is that of cockroachdb/datadriven; three kinds of script exist, each with its own runner: `interaction`
drives a small simulated cluster through the core, `quorum` calculates majorities, `confchange` changes memberships.
Every file starts from a fresh state, its cases run in order, and it stops at the first mismatch, since what follows
depends on what came before.

Reading order: `script` (the format), `run` (files, results, rewriting), `interaction` (the directives) over `cluster`
(the nodes), `console` (the text they print), then `quorum` and `confchange`.
"""

from raftly.testing.golden.run import (
    CaseFailure,
    FileResult,
    ScriptFile,
    find_scripts,
    read_script,
    rewrite_file,
    run_file,
)
from raftly.testing.golden.script import Case, Directive, Script, ScriptError, parse_directive, parse_script

__all__ = [
    "Case",
    "CaseFailure",
    "Directive",
    "FileResult",
    "Script",
    "ScriptError",
    "ScriptFile",
    "find_scripts",
    "parse_directive",
    "parse_script",
    "read_script",
    "rewrite_file",
    "run_file",
]
