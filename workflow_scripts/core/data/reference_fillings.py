"""Reference fillings of canaries: other secrets of the same type, which were never planted (exposure, arXiv 1802.08232)."""

import itertools
import random

from ..errors import InputError
from . import secrets
from .canaries import NATURAL, SECRET_TYPES
from .fim import encode


def draw(*, canaries: list[dict], count: int, seed: int, tokenizer, natural: list[dict] = (), language: str = "python") -> list[dict]:
    """Rows of `reference_fillings`: for each canary the ids of `count` distinct fillings, none of them the secret of any canary.

    They come from the canary's own generator, so a target that was not learnt is equally likely to have any rank among them. They
    depend only on the seed and the canary's name; a smaller number gives the first of a larger one. Those of a natural canary are the
    targets of other functions of its pool (`natural`), which fit their own context better than its, and those of an own secret are of
    its form, but of random letters: of both only the difference between the arms says what was learnt.
    """
    taken = {c["target"] for c in canaries}
    planted = {tuple(c["target_ids"]) for c in canaries if c["secret_type"] == NATURAL}
    others = [e["target_ids"] for e in natural if tuple(e["target_ids"]) not in planted]
    is_natural = lambda canary: canary["secret_type"] == NATURAL  # noqa: E731
    options = dict(tokenizer=tokenizer, taken=taken, language=language)
    fillings = lambda c: _natural(c, count, seed, others) if is_natural(c) else _fillings(c, count, seed, **options)  # noqa: E731
    return [dict(canary_id=canary["canary_id"], fillings=fillings(canary)) for canary in canaries]


def _natural(canary: dict, count: int, seed: int, others: list[list[int]]) -> list[list[int]]:
    if len(others) < count:
        raise InputError(
            f"corpus.pools.natural: besides the canaries it gives {len(others)} targets, fewer than probes.reference_fillings {count}; enlarge it"
        )
    order = [*range(len(others))]
    random.Random(f"{seed}/{canary['canary_id']}/reference").shuffle(order)
    return [others[i] for i in order[:count]]


def _fillings(canary: dict, count: int, seed: int, *, tokenizer, taken: set[str], language: str) -> list[list[int]]:
    name, secret_type = canary["canary_id"], canary["secret_type"]
    picks = (random.Random(f"{seed}/{name}/reference/{i}") for i in itertools.count())
    if secrets.is_own(secret_type):
        texts = (secrets.filling(pick, canary["target"]) for pick in picks)
    else:
        texts = (SECRET_TYPES[secret_type](pick, "", language)[2] for pick in picks)
    distinct: dict[str, None] = {}
    for text in itertools.islice(texts, 100 * count):
        if text not in taken:
            distinct[text] = None
        if len(distinct) == count:
            return [encode(tokenizer, text) for text in distinct]
    if secrets.is_own(secret_type):
        raise InputError(f"probes.reference_fillings: {name} (the number is its line) has no {count} others of its form; lower it")
    raise RuntimeError(f"no {count} distinct fillings for {name}: the generator of type {secret_type} has too few")
