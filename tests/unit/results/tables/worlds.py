"""Simulated studies with a known truth: how often each estimator is wrong. Run it for the table in docs/metrics.md:

    python -m tests.unit.results.tables.worlds        (about a minute; --worlds for more)

A world has 64 canaries, 2 in each stratum of dose (4) x half (2) x type of secret (4), and per seed two arms. Canaries differ, doses
differ, each training run has noise of its own, for all canaries and for those of each dose, and an arm may drift: everything that
it was trained on or not changes alike.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from workflow_scripts.core.results.tables import persistence_trend, stratified

CONFIDENCE, DOSES, TYPES, EACH = 0.95, 4, 4, 2
DOSE, HALF, TYPE = (axis.ravel() for axis in np.indices((DOSES, 2, TYPES, EACH))[:3])
N = len(DOSE)
STRATA = stratified.strata(DOSE, HALF, TYPE)
KL_COEFS = np.array([0.02, 0.05, 0.2, 1.0])


class Outcome(NamedTuple):
    """Shares of worlds: whose interval holds the truth, and whose p is below 0.05 although the truth is 0 (None where it is not)."""

    coverage: float
    type_1_error: float | None


def outcome(*, low, high, p=None, truth) -> Outcome:
    holds = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
    is_null = p is not None and np.all(truth == 0)
    return Outcome(float(holds.mean()), float((p < 1 - CONFIDENCE).mean()) if is_null else None)


def changes(rng, worlds: int, seeds: int, *, drift: float, effect: float, noise: float) -> np.ndarray:
    """Log-likelihood contrasts, seen minus unseen, of shape (worlds, canaries, seeds); their mean is `effect`.

    The effect is larger the higher the dose. `noise` is the sd of what a training run does to all canaries that its arm saw, and, twice
    as much, to those of each dose; `drift` what both arms do to all canaries, and its own sd in each arm.
    """
    shape = worlds, N, seeds
    dose_effect = effect * np.array([0.0, 0.4, 1.2, 2.4])[DOSE, None]
    own = rng.normal(0, 0.4, (worlds, N, 1)) * (1 + DOSE[:, None])  # a canary's, the same under every seed
    of_run = noise * rng.normal(size=(worlds, 1, seeds)) + 2 * noise * rng.normal(size=(worlds, DOSES, seeds))[:, DOSE]
    arms = drift * (1 + rng.normal(size=(worlds, 2, seeds)))  # arm A, arm B
    in_seen, in_unseen = arms[:, HALF], arms[:, 1 - HALF]
    seen = dose_effect + own + of_run + in_seen + rng.normal(0, 0.5, shape)
    return seen - (in_unseen + rng.normal(0, 0.5, shape))


def shares(rng, worlds: int, seeds: int, *, drift: float, effect: float, noise: float) -> tuple[np.ndarray, float]:
    """Contrasts of memorized (-2 to 2), of shape (worlds, canaries, seeds), and their true mean.

    A policy loses what the other one memorized with a probability of 0.05 + drift in both arms alike, and with `effect` more in the arm
    that saw it; both arms know the same share (0, 0.1, 0.4, 0.6 by dose), of which seeds move the log-odds by `noise`.
    """
    base = np.array([0.02, 0.1, 0.4, 0.6])[DOSE, None]
    odds = np.log(base / (1 - base))
    knows = lambda: rng.random((worlds, N, seeds)) < 1 / (1 + np.exp(-odds - noise * rng.normal(size=(worlds, 1, seeds))))  # noqa: E731
    loses = lambda more: rng.random((worlds, N, seeds)) < 0.05 + drift + more  # noqa: E731
    values = -(knows() & loses(effect)).astype(float) + (knows() & loses(0)).astype(float)
    z = np.polynomial.hermite_e.hermegauss(40)  # the mean over seeds' normal noise
    share = ((1 / (1 + np.exp(-odds - noise * z[0]))) @ z[1] / z[1].sum()).mean()
    return values, float(-effect * share)


def contrast(rng, worlds: int, seeds: int, measure: str, **world: float) -> Outcome:
    """Of a contrast of log-likelihood or of memorized."""
    if measure == "memorized":
        values, truth = shares(rng, worlds, seeds, **world)
    else:
        values, truth = changes(rng, worlds, seeds, **world), world["effect"]
    found = stratified.mean(values=values, strata=STRATA, confidence=CONFIDENCE, bound=1.0 if measure == "memorized" else None)
    return outcome(low=found.low, high=found.high, p=found.p, truth=truth)


def extraction_rate(rng, worlds: int, seeds: int, *, high: float, noise: float) -> Outcome:
    """Of the counterfactual extraction rate: memorized where seen, rising to `high` with the dose, minus 0.03 where not."""
    odds = lambda share: np.log(share / (1 - share))  # noqa: E731
    seen = odds(np.array([0.03, high / 4 + 0.02, high / 2 + 0.02, high])[DOSE, None])
    push = noise * rng.normal(size=(worlds, 1, seeds))
    draw = lambda logit: rng.random((worlds, N, seeds)) < 1 / (1 + np.exp(-logit))  # noqa: E731
    z, weight = np.polynomial.hermite_e.hermegauss(40)
    truth = float((1 / (1 + np.exp(-seen - noise * z)) @ weight / weight.sum()).mean() - 0.03)
    values = draw(seen + push).astype(float) - draw(np.full((1, N, 1), odds(0.03)))
    found = stratified.mean(values=values, strata=STRATA, confidence=CONFIDENCE, bound=1.0)
    return outcome(low=found.low, high=found.high, p=found.p, truth=truth)


def persistence(rng, worlds: int, seeds: int, *, share: float, noise: float) -> Outcome:
    """Of the share kept at one dose: of 16 canaries each seed's reference knows about 13."""
    z, weight = np.polynomial.hermite_e.hermegauss(40)
    logit = np.log(share / (1 - share))
    truth = float(1 / (1 + np.exp(-logit - noise * z)) @ weight / weight.sum())
    known = rng.random((worlds, 16, seeds)) < 0.8
    known[:, 0] = True
    kept = rng.random(known.shape) < 1 / (1 + np.exp(-logit - noise * rng.normal(size=(worlds, 1, seeds))))
    _, low, high = stratified.rate(hits=kept, of=known, confidence=CONFIDENCE)
    return outcome(low=low, high=high, truth=truth)


def trend(rng, worlds: int, seeds: int, *, slope: float, noise: float) -> Outcome:
    """Of the slope of the share kept per doubling of the KL coefficient, at one dose: 16 canaries, some easy to keep, some not."""
    _, x = persistence_trend.scaled(KL_COEFS.tolist())
    ease = rng.uniform(0.3, 0.7, (1, worlds, 16, 1))
    push = noise * rng.normal(size=(len(x), worlds, 1, seeds))  # each policy is a training run
    kept = rng.random((len(x), worlds, 16, seeds)) < np.clip(ease + slope * (x - x.mean())[:, None, None, None] + push, 0, 1)
    before = np.ones((16, seeds), dtype=bool)
    strata = stratified.strata(np.arange(16) % 2, np.arange(16) // 2 % 4)
    found = persistence_trend.slope(kept=kept, before=before, x=x, strata=strata, confidence=CONFIDENCE)
    return outcome(low=found.low, high=found.high, p=found.p, truth=slope)


def rejected(rng, worlds: int, seeds: int, way: str, **world: float) -> Outcome:
    """Of the contrast of log-likelihood by a way that was not taken: canaries x seeds as independent units, or Satterthwaite's degrees."""
    values = changes(rng, worlds, seeds, **world)
    if way == "independent":
        found = stratified.mean(values=values.reshape(worlds, -1, 1), strata=np.repeat(STRATA, seeds), confidence=CONFIDENCE)
        return outcome(low=found.low, high=found.high, p=found.p, truth=world["effect"])
    one = stratified.mean(values=values.mean(axis=2, keepdims=True), strata=STRATA, confidence=CONFIDENCE).error ** 2
    of_seeds = values.mean(axis=1).var(axis=1, ddof=1) / seeds
    degrees = (one + of_seeds) ** 2 / (one**2 / (N - STRATA.max() - 1) + of_seeds**2 / (seeds - 1))
    half, center = t.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(one + of_seeds), values.mean(axis=(1, 2))
    return outcome(low=center - half, high=center + half, p=(np.abs(center) < half).astype(float), truth=world["effect"])


Case = tuple[str, str, Callable[..., Outcome], dict]
NULL_OF_SEEDS = dict(drift=0.0, effect=0.0, noise=0.3)  # training noise as large as that of canaries
NULL, DRIFT, KNOWN = dict(drift=0.0, effect=0.0), dict(drift=3.0, effect=0.0), dict(drift=1.0, effect=0.5)
SHARE_DRIFT, SHARE_KNOWN = dict(drift=0.6, effect=0.0), dict(drift=0.1, effect=0.5)


def cases() -> list[Case]:
    """(estimator, world, function, its arguments) of every line of the table."""
    found: list[Case] = []
    for seeds in (1, 2, 3, 5):
        several = f", {seeds} seeds" if seeds > 1 else ""
        noise = 0.15 if seeds > 1 else 0.0
        for measure, worlds in (
            ("target_logprob", {"null": NULL, "drift only": DRIFT, "known effect": KNOWN}),
            ("memorized", {"null": NULL, "drift only": SHARE_DRIFT, "known effect": SHARE_KNOWN}),
        ):
            for name, world in worlds.items():
                found.append((f"contrast of {measure}{several}", name, contrast, dict(seeds=seeds, measure=measure, noise=noise, **world)))
        if seeds > 1:
            found.append(
                (
                    f"contrast of target_logprob{several}",
                    "null, noisy seeds",
                    contrast,
                    dict(seeds=seeds, measure="target_logprob", **NULL_OF_SEEDS),
                )
            )
        noise = 0.5 if seeds > 1 else 0.0
        found += [
            (f"counterfactual rate{several}", f"highest {high:g}", extraction_rate, dict(seeds=seeds, high=high, noise=noise))
            for high in (0.05, 0.9)
        ]
        found += [
            (f"share kept{several}", f"{share:g} stay", persistence, dict(seeds=seeds, share=share, noise=noise))
            for share in (0.1, 0.5, 0.9)
        ]
        noise = 0.1 if seeds > 1 else 0.0
        found += [
            (f"trend{several}", name, trend, dict(seeds=seeds, slope=slope, noise=noise))
            for name, slope in (("null", 0.0), ("known effect", 0.05))
        ]
    return found


def rejected_cases() -> list[Case]:
    """The same of ways that were not taken."""
    return [
        (f"contrast of target_logprob, {seeds} seeds, {words}", "null, noisy seeds", rejected, dict(seeds=seeds, way=way, **NULL_OF_SEEDS))
        for way, words in (("independent", "canaries x seeds as units"), ("satterthwaite", "Satterthwaite"))
        for seeds in (2, 3, 5)
    ]


def table(worlds: int) -> str:
    """The Markdown table of every case."""
    lines = ["| estimator | world | coverage | type I error |", "|---|---|---:|---:|"]
    for place, (estimator, name, run, arguments) in enumerate(cases() + rejected_cases()):
        found = run(np.random.default_rng([1, place]), worlds, **arguments)
        error = "-" if found.type_1_error is None else f"{100 * found.type_1_error:.1f} %"
        lines.append(f"| {estimator} | {name} | {100 * found.coverage:.1f} % | {error} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--worlds", type=int, default=4000, help="per line")
    print(table(parser.parse_args().worlds))  # noqa: T201
