"""Words for tables of scenarios: what a user does to a repository, each a function of it."""

import pytest

CONFIG, TINY = "config.yaml", "tests/config/tiny.yaml"
RATE = (
    "single: {learning_rate: 1.0e-3",
    "single: {learning_rate: 2.0e-3",
)  # of a reward model: as it is, and another
KL = ("1.0e-4\n    kl_coef: 0.05", "1.0e-4\n    kl_coef: 0.1")  # of PPO, behind its learning rate: as it is, and another
SCRIPTS, CORE, RESULTS = "workflow_scripts", "workflow_scripts/core", "results/tiny"


def edit(file: str, old: str, new: str):
    """A text replaced in a file."""
    return lambda repository: repository.edit(file, old, new)


def note(file: str):
    """A line of code at the end of a file."""
    return lambda repository: repository.append(file)


def remove(*paths: str):
    """Files and folders deleted."""
    return lambda repository: repository.remove(*paths)


def both(*changes):
    """One after the other."""
    return lambda repository: [change(repository) for change in changes]


def rows(table: dict[str, tuple], always: int) -> list:
    """A table of {title: values} as parameters; the first `always` rows are tried by every run of the tests, the others by the slow ones."""
    marks = [()] * always + [pytest.mark.slow] * (len(table) - always)
    return [pytest.param(*values, id=title, marks=mark) for (title, values), mark in zip(table.items(), marks, strict=True)]
