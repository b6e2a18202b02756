"""Reference fillings of canaries: other secrets of the same secret_type, which were never planted (exposure, arXiv 1802.08232)."""

import itertools
import random

from .canaries import SECRET_TYPES
from .fim import encode


def draw(*, canaries: list[dict], count: int, seed: int, tokenizer) -> list[dict]:
    """Rows of `reference_fillings`: for each canary the ids of `count` distinct fillings, none of them the secret of any canary.

    They come from the canary's own generator, so that a target that was not learnt is as likely to rank anywhere among them. They
    depend on the seed and the canary's name alone; fewer are the first of more.
    """
    secrets = {c["target"] for c in canaries}
    return [dict(canary_id=c["canary_id"], fillings=_fillings(c, count, seed, tokenizer, secrets)) for c in canaries]


def _fillings(canary: dict, count: int, seed: int, tokenizer, secrets: set[str]) -> list[list[int]]:
    texts = (SECRET_TYPES[canary["secret_type"]](random.Random(f"{seed}/{canary['canary_id']}/reference/{i}"), "")[2] for i in itertools.count())
    found: dict[str, None] = {}
    for text in itertools.islice(texts, 100 * count):
        if text not in secrets:
            found[text] = None
        if len(found) == count:
            return [encode(tokenizer, text) for text in found]
    raise RuntimeError(f"no {count} distinct fillings for {canary['canary_id']}: the generator of type {canary['secret_type']} has too few")
