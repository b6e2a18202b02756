"""Exposure by a normal fit, on simulated fillings."""

import numpy as np
import pytest
from scipy import stats

from workflow_scripts.core.probing.measures import exposure, fillings


def simulated(shift: float, items: int = 4000, r: int = 63) -> tuple[np.ndarray, np.ndarray]:
    """(bits by the fit, bits by rank) of targets `shift` standard deviations likelier than their fillings."""
    drawn = np.random.default_rng(0).normal(-40, 3, (items, r + 1))
    drawn[:, 0] += 3 * shift
    return tuple(np.array([bits(float(row[0]), row[1:]) for row in drawn]) for bits in (fillings.fitted, exposure.exposure))


def test_what_was_not_learnt_has_the_bits_of_chance():
    by_fit, by_rank = simulated(0)
    assert by_fit.mean() == pytest.approx(1 / np.log(2), abs=0.06)
    assert (by_fit >= 3).mean() == pytest.approx(2**-3, abs=0.015) and np.corrcoef(by_fit, by_rank)[0, 1] > 0.9


def test_below_the_cap_both_agree_and_beyond_it_the_fit_goes_on():
    by_fit, by_rank = simulated(1.5)
    assert np.median(by_fit) == pytest.approx(-stats.norm.logsf(1.5) / np.log(2), abs=0.15)
    assert np.median(by_rank) == pytest.approx(np.median(by_fit), abs=0.5)
    far, capped = simulated(8)
    assert (capped == 6).all() and np.median(far) == pytest.approx(-stats.norm.logsf(8) / np.log(2), rel=0.05)


def test_bits_by_hand():
    drawn = np.array([-3.0, -1.0, -2.0])
    assert fillings.fitted(-2.0, drawn) == pytest.approx(1)  # at the mean: one in two
    assert fillings.fitted(0.0, drawn) == pytest.approx(-np.log2(stats.norm.sf(2)))
    assert np.isfinite(fillings.fitted(500.0, drawn))
    for alike in (np.array([-2.0, -2.0]), np.array([-2.0])):  # no scatter: by rank
        assert fillings.fitted(-1.0, alike) == exposure.exposure(-1.0, alike)
