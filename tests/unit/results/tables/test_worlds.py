"""Each estimator in worlds whose truth is known (worlds.py): at most 5.5 % false alarms, and 94 % of intervals hold the truth."""

import numpy as np
import pytest

from tests.unit.results.tables.worlds import cases, rejected_cases

IDS = [f"{estimator} - {world}" for estimator, world, *_ in cases()]


def check(case, worlds: int, seed: int) -> None:
    _, _, run, arguments = case
    found = run(np.random.default_rng(seed), worlds, **arguments)
    assert found.coverage >= 0.94
    assert found.type_1_error is None or found.type_1_error <= 0.055


@pytest.mark.parametrize("case", cases(), ids=IDS)
def test_intervals_cover_and_tests_are_rarely_wrong(case):
    check(case, worlds=1000, seed=7)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(), ids=IDS)
def test_the_same_in_many_worlds(case):
    check(case, worlds=10_000, seed=11)


@pytest.mark.parametrize("case", rejected_cases()[:4], ids=lambda case: case[0])
def test_ways_that_were_not_taken_cover_too_little(case):
    """Canaries x seeds as units at any number of seeds, and Satterthwaite's degrees of freedom at two."""
    _, _, run, arguments = case
    assert run(np.random.default_rng(3), 1000, **arguments).coverage < 0.935
