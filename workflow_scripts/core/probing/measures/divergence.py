"""How far the policy has moved from the reference policy, on code that neither was trained on."""

import numpy as np
import pyarrow as pa

COLUMNS = {"kl_to_reference": pa.float64()}
ROLES = ("evaluation",)


def measure(answer) -> dict:
    """`kl_to_reference`: mean over the target's places of KL(policy || reference) of the next token, in nats, over the whole vocabulary."""
    return dict(kl_to_reference=kl_divergence(answer.logprobs, answer.reference_logprobs))


def kl_divergence(logprobs: np.ndarray, reference: np.ndarray) -> float:
    """Mean over places of KL(p || q), from log-probabilities of shape (places, vocabulary)."""
    return float((np.exp(logprobs) * (logprobs - reference)).sum(axis=1).mean())
