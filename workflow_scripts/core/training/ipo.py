"""IPO, direct preference learning without a reward model (Azar et al. 2023, arXiv 2310.12036).

Log-ratios are **averaged over tokens**, as in TRL and in agreement with IPO's authors. With h = mean over tokens of log(pi/pi_ref)
on the chosen completion less the same on the rejected one, the loss of a pair is (h - 1 / (2 beta))^2; tests check it by hand.
"""

import functools

from ..lm.models import without_dropout
from . import pairwise
from .session import Session
from .trainer import fit


def loss(model, pairs: list[dict], *, beta: float):
    """(squared distance of h from 1 / (2 beta), mean over pairs; accuracy and mean of h)."""
    h = pairwise.against_reference(model, pairs, average=True)
    return (h - 1 / (2 * beta)).square().mean(), dict(accuracy=(h > 0).float().mean(), margin=h.mean())


def train(*, model, pairs: list[dict], session: Session) -> dict:
    """Train the policy in place; the model as it comes is the reference. Returns {steps, history, tokens}."""
    rows = pairwise.with_reference(reference=model, pairs=pairs, average=True, session=session)
    fitted = fit(model=without_dropout(model), rows=rows, loss=functools.partial(loss, beta=session.settings.beta), session=session)
    return {**fitted, "tokens": pairwise.tokens(pairs, session)}
