"""Membership by a reference: how much likelier the target became than the base policy, which has seen no canary, held it to be.

Carlini et al. 2021 (arXiv 2012.07805) and Mireshghallah et al. 2022 (arXiv 2203.03929), who take the pretrained model for the reference
of a fine-tuned one. A policy's parent would not do: it may have seen the canary itself.
"""

import pyarrow as pa

from ...parquet import optional

COLUMNS = {"reference_ratio": optional(pa.float64())}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`reference_ratio`: log p of the policy less that of the base, in nats per token of the target; missing without a reference."""
    return dict(reference_ratio=None if answer.gained is None else float(answer.gained.mean()))
