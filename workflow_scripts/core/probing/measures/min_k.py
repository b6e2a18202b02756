"""Min-K% Prob (Shi et al. 2024, arXiv 2310.16789): a text that was trained on has few tokens that are very unlikely."""

import numpy as np
import pyarrow as pa

K = 0.2  # share of the tokens, the paper's choice
COLUMNS = {"min_k": pa.float64()}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`min_k`: mean log p of the K least likely tokens of the target, in nats."""
    return dict(min_k=mean_of_lowest(answer.target_logprobs))


def mean_of_lowest(values: np.ndarray) -> float:
    """Mean of the lowest K of the values, rounded down as in the authors' code, at least one."""
    return float(np.sort(values)[: max(1, int(len(values) * K))].mean())
