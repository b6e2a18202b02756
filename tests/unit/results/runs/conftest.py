"""Fixtures of the tests of several runs."""

import pytest

from tests.unit.results.runs.two_runs import ONE, OTHER, lay


@pytest.fixture
def two(tmp_path):
    """The folders of two runs."""
    return [lay(tmp_path / "one", ONE), lay(tmp_path / "other", OTHER, seed=3)]
