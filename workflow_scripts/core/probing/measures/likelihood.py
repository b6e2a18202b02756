"""How likely the policy holds the truth to be, also where greedy decoding says something else."""

import pyarrow as pa

COLUMNS = {"target_logprob": pa.float64(), "target_tokens": pa.int32()}
ROLES = ("canary", "evaluation")


def measure(answer) -> dict:
    """`target_logprob`: sum over the target's tokens of log p, in nats, added in float64."""
    return dict(target_logprob=float(answer.target_logprobs.sum()), target_tokens=len(answer.target_ids))
