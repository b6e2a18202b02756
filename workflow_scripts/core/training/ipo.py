"""IPO, direct preference learning without a reward model (Azar et al. 2023, arXiv 2310.12036).

Which log-ratios: **averaged over tokens**, as TRL does and its authors agreed with those of IPO. With h = mean over tokens of
log(pi/pi_ref) on chosen minus the same on rejected, the loss of a pair is (h - 1 / (2 beta))^2; tests hold it to that formula by hand.
"""

import functools

from . import pairwise
from .models import without_dropout
from .trainer import Stage, fit


def loss(model, pairs: list[dict], *, beta: float):
    """(squared distance of h from 1 / (2 beta), mean over pairs; accuracy and mean of h)."""
    h = pairwise.against_reference(model, pairs, average=True)
    return (h - 1 / (2 * beta)).square().mean(), dict(accuracy=(h > 0).float().mean(), margin=h.mean())


def train(*, model, reference, pairs: list[dict], beta: float, stage: Stage) -> dict:
    """Train the policy in place against `reference`, which may be the policy itself: it is read before training. Returns {steps,
    history, tokens}.
    """
    rows = pairwise.with_reference(reference=reference, pairs=pairs, average=True, batch_size=stage.batch_size, desc=stage.desc)
    made = fit(model=without_dropout(model), rows=rows, loss=functools.partial(loss, beta=beta), stage=stage)
    return {**made, "tokens": int(pairwise.tokens(pairs) * stage.epochs)}
