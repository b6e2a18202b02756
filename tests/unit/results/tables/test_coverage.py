"""Intervals cover the truth as often as they say: simulated data with known answers, 2,000 repetitions each.

Exact intervals may be wider than they say, so their coverage has no upper bound; those of the bootstrap have.
"""

import numpy as np
import pytest
from scipy.stats import multinomial, norm

from workflow_scripts.core.results.tables import auc, resampling, statistics

REPETITIONS, N, CONFIDENCE = 2000, 64, 0.95


def covered(*, draw, interval, truth: float, seed: int) -> float:
    """The share of repetitions whose interval holds the truth; `draw` takes a random generator, `interval` what it drew."""
    rng = np.random.default_rng(seed)
    bounds = np.array([interval(draw(rng)) for _ in range(REPETITIONS)])
    return float(((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean())


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.35, 0.5, 0.97])
@pytest.mark.parametrize("n", [8, 32, 64])
def test_rates(rate, n):
    found = covered(
        draw=lambda rng: int(rng.binomial(n, rate)),
        interval=lambda hits: statistics.proportion(hits=hits, n=n, units=n, confidence=CONFIDENCE)[1:],
        truth=rate,
        seed=1,
    )
    assert found >= 0.94


def test_rates_of_canaries_that_seeds_repeat():
    """Five seeds whose outcomes of one canary are alike: counted as 5 x 64 observations, the interval would cover too little."""

    def hits_of_seeds(rng):
        own_rate = rng.beta(0.6, 1.4, size=N)  # some canaries are easy, most are not; 0.3 on average
        return int(rng.binomial(5, own_rate).sum())

    units = lambda hits: statistics.proportion(hits=hits, n=5 * N, units=N, confidence=CONFIDENCE)[1:]  # noqa: E731
    naive = lambda hits: statistics.clopper_pearson(hits=hits, n=5 * N, confidence=CONFIDENCE)  # noqa: E731
    assert covered(draw=hits_of_seeds, interval=units, truth=0.3, seed=2) >= 0.94
    assert covered(draw=hits_of_seeds, interval=naive, truth=0.3, seed=2) < 0.85


def paired(rng: np.random.Generator) -> np.ndarray:
    """Two policies' bits of exposure on the same canaries, which vary far more than what the policy changes; 0.5 apart on average."""
    canary = rng.exponential(3.0, size=N)
    return canary + rng.normal(0.5, 1.0, size=N) - (canary + rng.exponential(1.0, size=N) - 1.0)


def test_paired_differences():
    interval = lambda d: resampling.ratio_interval(numerators=d, denominators=np.ones(N), confidence=CONFIDENCE)[1:]  # noqa: E731
    assert 0.94 <= covered(draw=paired, interval=interval, truth=0.5, seed=3) <= 0.97


@pytest.mark.parametrize("n", [8, 32, 64])
def test_paired_differences_of_shares(n):
    """Every outcome weighed by its exact probability, so that no chance is left. Resampling would cover as little as 61 % at n = 32."""
    outcomes = np.array([(up, down, n - up - down) for up in range(n + 1) for down in range(n + 1 - up)])
    samples = (np.repeat([1.0, -1.0, 0.0], outcome) for outcome in outcomes)
    low, high = np.array([statistics.share_difference_interval(differences=d, confidence=CONFIDENCE) for d in samples]).T
    for up in (0.0, 0.005, 0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.97):
        for down in (0.0, 0.005, 0.02, 0.1, 0.25):
            if up + down < 1:
                holds = (low <= up - down + 1e-12) & (up - down - 1e-12 <= high)
                assert multinomial.pmf(outcomes, n, [up, down, 1 - up - down])[holds].sum() >= 0.94, (up, down)


@pytest.mark.parametrize(("up", "down"), [(0.3, 0.1), (0.25, 0.25), (0.2, 0.05)])
def test_mean_differences_of_ones_and_zeros(up, down):
    """The bootstrap, where enough canaries differ for it."""
    found = covered(
        draw=lambda rng: rng.choice([1.0, -1.0, 0.0], p=[up, down, 1 - up - down], size=N),
        interval=lambda d: resampling.ratio_interval(numerators=d, denominators=np.ones(N), confidence=CONFIDENCE)[1:],
        truth=up - down,
        seed=4,
    )
    assert 0.94 <= found <= 0.97


def test_ratios():
    """Negative log-probability per token, over examples of 5 to 39 tokens; the longer ones are not more likely per token."""

    def examples(rng):
        tokens = rng.integers(5, 40, size=N)
        return rng.gamma(0.5 * tokens, 2.0), tokens

    interval = lambda e: resampling.ratio_interval(numerators=e[0], denominators=e[1], confidence=CONFIDENCE)[1:]  # noqa: E731
    assert 0.94 <= covered(draw=examples, interval=interval, truth=1.0, seed=5) <= 0.97


@pytest.mark.parametrize("shift", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
@pytest.mark.parametrize("twins", [True, False])
def test_auc(shift, twins):
    """Normal scores `shift` standard deviations apart; twins correlate, as the two arms' scores of one canary do."""

    def scores(rng):
        members, others = rng.normal(shift, 1, size=N), rng.normal(size=N)
        return members, 0.5 * (members - shift) + np.sqrt(0.75) * others if twins else others

    found = covered(
        draw=scores,
        interval=lambda s: auc.auc_interval(members=s[0], nonmembers=s[1], paired=twins, confidence=CONFIDENCE),
        truth=norm.cdf(shift / np.sqrt(2)),
        seed=6,
    )
    assert 0.94 <= found <= 0.97
