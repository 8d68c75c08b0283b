"""What every test run has: the form of the core that was asked for, and Hypothesis settings that repeat."""

import os

import pytest
from hypothesis import Phase, settings

from raftly.cli.form import core_form

# No deadlines: they measure the machine. `ci` draws the same examples every time; HYPOTHESIS_PROFILE chooses another.
# `hunt` is for planted faults: that something fails is enough, the smallest example is not looked for.
settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hunting = [Phase.explicit, Phase.generate]
settings.register_profile("hunt", deadline=None, derandomize=True, database=None, phases=hunting)
settings.register_profile("thorough", deadline=None, max_examples=5_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test another form than RAFTLY_EXPECT names, so that a silent fall-back cannot pass for the real one."""
    expected = os.environ.get("RAFTLY_EXPECT")
    if expected and core_form() != expected:
        message = f"RAFTLY_EXPECT={expected}, but the core that Python finds is {core_form()}"
        raise pytest.UsageError(message)


def pytest_report_header() -> str:
    return f"raftly core: {core_form()}"
