"""Reference fillings of canaries: other secrets of the same type, which were never planted (exposure, arXiv 1802.08232)."""

import itertools
import random

from .canaries import SECRET_TYPES
from .fim import encode


def draw(*, canaries: list[dict], count: int, seed: int, tokenizer) -> list[dict]:
    """Rows of `reference_fillings`: for each canary the ids of `count` distinct fillings, none of them the secret of any canary.

    They come from the canary's own generator, so a target that was not learnt is equally likely to have any rank among them. They
    depend only on the seed and the canary's name; a smaller number gives the first of a larger one.
    """
    secrets = {c["target"] for c in canaries}
    return [dict(canary_id=c["canary_id"], fillings=_fillings(c, count, seed, tokenizer, secrets)) for c in canaries]


def _fillings(canary: dict, count: int, seed: int, tokenizer, secrets: set[str]) -> list[list[int]]:
    texts = (
        SECRET_TYPES[canary["secret_type"]](random.Random(f"{seed}/{canary['canary_id']}/reference/{i}"), "")[2] for i in itertools.count()
    )
    distinct: dict[str, None] = {}
    for text in itertools.islice(texts, 100 * count):
        if text not in secrets:
            distinct[text] = None
        if len(distinct) == count:
            return [encode(tokenizer, text) for text in distinct]
    raise RuntimeError(f"no {count} distinct fillings for {canary['canary_id']}: the generator of type {canary['secret_type']} has too few")
