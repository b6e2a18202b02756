"""The chance that one sample gives the target verbatim: what (n, p)-discoverable extraction is computed from (arXiv 2410.19482)."""

import numpy as np
import pyarrow as pa

COLUMNS = {"log_p_extract": pa.float64()}
ROLES = ("canary",)


def measure(answer, *, temperature: float, top_k: int, top_p: float) -> dict:
    """`log_p_extract`: in nats, with this sampling; -inf where it never draws one of the target's tokens."""
    kept = renormalized(answer.logprobs, temperature=temperature, top_k=top_k, top_p=top_p)
    return dict(log_p_extract=float(np.take_along_axis(kept, np.asarray(answer.target_ids)[:, None], axis=1).sum()))


def renormalized(logprobs: np.ndarray, *, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """Log-probabilities (places, vocabulary) as sampling uses them: temperature, then the `top_k` likeliest, then the smallest set
    of those that holds `top_p` of the mass; -inf for the rest. top_k 0 and top_p 1 keep all; of tokens that tie at the edge of
    top_k all are kept.
    """
    kept = logprobs / temperature
    if 0 < top_k < kept.shape[1]:
        kept = _normalized(kept, kept >= np.partition(kept, -top_k, axis=1)[:, -top_k, None])
    else:
        kept = _normalized(kept, np.ones_like(kept, dtype=bool))
    if top_p < 1:
        order = np.argsort(-kept, axis=1, kind="stable")
        mass = np.exp(np.take_along_axis(kept, order, axis=1))
        inside = np.cumsum(mass, axis=1) - mass < top_p  # what comes before a token does not reach top_p
        keep = np.zeros_like(inside)
        np.put_along_axis(keep, order, inside, axis=1)
        kept = _normalized(kept, keep)
    return kept


def _normalized(logits: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """(places, vocabulary): log-probabilities over what is to `keep` (same shape, boolean), -inf for the rest."""
    top = logits.max(axis=1, keepdims=True)
    mass = np.exp(logits - top, where=keep, out=np.zeros_like(logits))  # of the few that are kept: exp is slow
    return np.where(keep, logits - top - np.log(mass.sum(axis=1, keepdims=True)), -np.inf)
