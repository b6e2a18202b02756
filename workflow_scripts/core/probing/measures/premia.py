"""PREMIA (Feng et al. 2024, arXiv 2407.06443): was this preference pair trained on?

The score of a whole pair: by how much the policy's log-ratio of chosen to rejected exceeds that of a reference, here the base policy;
DPO and IPO raise it, as it is their margin without the factor beta. Summed over tokens and in logs, which the accounts of the paper
that we could read leave open.
"""

import pyarrow as pa

from ...parquet import optional

COLUMNS = {"premia": optional(pa.float64())}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`premia`: in nats; missing where the canary has no preference pair."""
    if answer.pair_logprobs is None:
        return dict(premia=None)
    chosen, rejected = answer.pair_logprobs[:, 0] - answer.pair_logprobs[:, 1]
    return dict(premia=float(chosen - rejected))
