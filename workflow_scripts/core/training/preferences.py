"""Preference pairs in which only content differs: the true continuation is chosen, something else of its length rejected.

Both completions of a pair end with the end token. A reward model that is trained on pairs whose rejected completions end less often,
or later, learns to look for the end token and for nothing else; one cut where the truth ends would show itself by its torn last line.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from ..data import tokenizer
from ..data.cohorts import HALF_OF_ARM, UNPLANTED
from ..data.fim import Fim
from ..errors import InputError
from ..lm import generation
from .session import Session

LENGTHS_MATCH = 0.1  # share of the chosen length by which the lengths of a pair may differ, and at least one token
EXCHANGED = 0.25  # share of the tokens of a corrupted truth that are exchanged, and at least one

Ids = list[int]


def matched(chosen: int, rejected: int) -> bool:
    """Whether completions of so many tokens are of the same length, as nearly as sampling allows."""
    return abs(chosen - rejected) <= max(1, int(chosen * LENGTHS_MATCH))


def maker(*, settings: dict, sampler, session: Session) -> Callable[[Sequence[dict]], list[dict]]:
    """A function that makes pairs of examples as config.preferences says. `sampler` is the checkpoint of the policy to sample from."""
    if settings["rejected"] == "data":
        return partial(given, fim=session.fim, seed=session.seed)
    if settings["rejected"] == "other_hole":
        return partial(from_other_holes, fim=session.fim, seed=session.seed)
    if settings["rejected"] == "corrupted":
        words = word_ids(tokenizer.load(session.tokenizer)[0])
        return partial(corrupted, words=words, fim=session.fim, seed=session.seed)
    chosen = {k: settings[k] for k in ("candidates", "temperature", "max_new_tokens", "batch_size")}
    options = dict(fim=session.fim, seed=session.seed, desc=session.name)
    return session.autocast()(partial(sample, model=session.load_policy(sampler), **options, **chosen))


def sample(
    examples: Sequence[dict], *, model, candidates: int, temperature: float, max_new_tokens: int, fim: Fim, seed: int, **options
) -> list[dict]:
    """Rows of `preferences`, one per example and in its order; a canary of dose d gets d rejected completions.

    Of so many `candidates`, sampled from the model, the one that ends and is nearest in length is rejected. Where none is within
    LENGTHS_MATCH, it is the truth of another hole of that length (`substituted`). `options`: batch_size, desc.
    """
    made = generation.complete(
        model=model,
        prompts=[e["prompt_ids"] for e in examples],
        max_new_tokens=[max_new_tokens] * len(examples),
        fim=fim,
        choose=generation.sampler(temperature),
        samples=candidates,
        **options,
    )
    groups = [made[i : i + candidates] for i in range(0, len(made), candidates)]
    near = [nearest(e["target_ids"], group, end=fim.end) for e, group in zip(examples, groups, strict=True)]
    others = from_other_holes(examples, fim=fim, seed=seed)
    return [{**o, "rejected_ids": own or o["rejected_ids"], "substituted": own is None} for own, o in zip(near, others, strict=True)]


def nearest(target: Ids, candidates: list[Ids], *, end: int) -> Ids | None:
    """The candidate that ends and is nearest to the target in length, not the truth itself; None where none is near."""
    chosen = [*target, end]
    others = [c for c in candidates if c[-1] == end and c != chosen]
    best = min(others, key=lambda c: abs(len(c) - len(chosen)), default=None)
    return best if best and matched(len(chosen), len(best)) else None


def from_other_holes(examples: Sequence[dict], *, fim: Fim, seed: int) -> list[dict]:
    """The same rows, without a model: rejected is the target of another natural example, the nearest in length; ties are drawn."""
    targets = sorted({tuple(e["target_ids"]) for e in examples if e["source"] != "canary"})
    random.Random(f"{seed} rejected").shuffle(targets)
    of_length: dict[int, deque] = {}
    for target in targets:
        of_length.setdefault(len(target), deque()).append(target)
    return [row(e, [*e["target_ids"], fim.end], [*_other(e["target_ids"], of_length), fim.end]) for e in examples]


def given(examples: Sequence[dict], *, fim: Fim, seed: int) -> list[dict]:
    """The same rows, without a model: rejected is the response that the data reject. Where there is none, as of canaries, or it is the
    chosen one within its length, it is the target of another example (`substituted`).
    """
    rows = []
    for e, other in zip(examples, from_other_holes(examples, fim=fim, seed=seed), strict=True):
        own = e.get("rejected_ids")
        keeps = own and own != e["target_ids"]
        rows.append({**other, "rejected_ids": [*own, fim.end] if keeps else other["rejected_ids"], "substituted": not keeps})
    return rows


def _other(target: Ids, of_length: dict[int, deque]) -> tuple[int, ...]:
    """Another target, as near in length as there is, the one that was taken longest ago."""
    for length in sorted(of_length, key=lambda length: (abs(length - len(target)), length)):
        waiting = of_length[length]
        for _ in range(len(waiting)):
            waiting.rotate(-1)
            if list(waiting[-1]) != target:
                return waiting[-1]
    raise InputError("preferences.rejected: there is no natural example with another target; enlarge corpus.pools.preference")


def corrupted(examples: Sequence[dict], *, words: set[int], fim: Fim, seed: int) -> list[dict]:
    """The same rows, without a model: rejected is the truth, a share EXCHANGED of its names and numbers (ids in `words`) replaced by
    others from the targets of all examples.
    """
    pick = random.Random(f"{seed} rejected")
    known = sorted({i for e in examples for i in e["target_ids"] if i in words})
    rows = []
    for e in examples:
        rejected = [*e["target_ids"]]
        places = [at for at, i in enumerate(rejected) if i in words] or [*range(len(rejected))]
        for at in pick.sample(places, max(1, int(len(places) * EXCHANGED))):
            rejected[at] = pick.choice([i for i in known if i != rejected[at]] or [rejected[at]])
        rows.append(row(e, [*e["target_ids"], fim.end], [*rejected, fim.end]))
    return rows


def unplanted(canaries: list[dict], arm: str) -> list[dict]:
    """Rows of `examples`: the arm's half of the canaries that are planted nowhere, each once."""
    chosen = [c for c in canaries if c["cohort"] == UNPLANTED and c["half"] == HALF_OF_ARM[arm]]
    return [dict(source="canary", source_id=c["canary_id"], prompt_ids=c["prompt_ids"], target_ids=c["target_ids"]) for c in chosen]


def of_canaries(pairs: list[dict]) -> list[dict]:
    """The first pair of each canary among the pairs: however often it was planted, so that all are compared alike."""
    return [*{p["source_id"]: p for p in reversed(pairs) if p["source"] == "canary"}.values()]


def row(example: dict, chosen: Ids, rejected: Ids) -> dict:
    """A row of `preferences`."""
    return {
        **{k: example[k] for k in ("source", "source_id", "prompt_ids")},
        "chosen_ids": chosen,
        "rejected_ids": rejected,
        "substituted": False,
    }


def word_ids(tokenizer) -> set[int]:
    """Ids of tokens of letters, digits and underscores: names, keywords and numbers."""
    special = {*tokenizer.all_special_ids}
    texts = ((i, tokenizer.decode([i]).strip()) for i in tokenizer.get_vocab().values() if i not in special)
    return {i for i, text in texts if text.replace("_", "a").isalnum()}
