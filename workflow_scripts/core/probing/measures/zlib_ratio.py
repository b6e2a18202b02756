"""Membership by compression: how unlikely the target is for a text of its information content (Carlini et al. 2021, arXiv 2012.07805)."""

import zlib

import pyarrow as pa

COLUMNS = {"zlib_ratio": pa.float64()}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`zlib_ratio`: negative log-likelihood over the compressed length of the target's text, in nats per byte; low for members.

    The paper divides the mean over tokens; this is the sum, which grows with the text as the compressed length does.
    """
    return dict(zlib_ratio=float(-answer.target_logprobs.sum() / len(zlib.compress(answer.target.encode()))))
