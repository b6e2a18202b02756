"""Preference pairs in which only content differs: the true continuation is chosen, something else of its length rejected.

Both completions of a pair end with the end token, or both are cut at the same length. A reward model that is trained on pairs whose
rejected completions end less often, or later, learns to look for the end token and for nothing else.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial

from ..data import tokenizer
from ..data.fim import Fim
from ..errors import InputError
from . import generation
from .session import Session

LENGTHS_MATCH = 0.1  # share of the chosen length by which the lengths of a pair may differ, and at least one token
EXCHANGED = 0.25  # share of the tokens of a corrupted truth that are exchanged, and at least one

Ids = list[int]


def matched(chosen: int, rejected: int) -> bool:
    """Whether completions of so many tokens are of the same length, as nearly as sampling allows."""
    return abs(chosen - rejected) <= max(1, int(chosen * LENGTHS_MATCH))


def maker(*, settings: dict, sampler, session: Session) -> Callable[[Sequence[dict]], list[dict]]:
    """A function that makes pairs of examples as config.preferences says. `sampler` is the checkpoint of the policy to sample from."""
    if settings["rejected"] == "other_hole":
        return partial(from_other_holes, fim=session.fim, seed=session.seed)
    if settings["rejected"] == "corrupted":
        words = word_ids(tokenizer.load(session.tokenizer)[0])
        return partial(corrupted, words=words, fim=session.fim, seed=session.seed)
    chosen = {k: settings[k] for k in ("candidates", "temperature", "max_new_tokens", "batch_size")}
    return partial(sample, model=session.load_policy(sampler), fim=session.fim, desc=session.name, **chosen)


def sample(examples: Sequence[dict], *, model, candidates: int, temperature: float, max_new_tokens: int, fim: Fim, **options) -> list[dict]:
    """Rows of `preferences`, one per example and in its order; a canary of dose d gets d rejected completions.

    Of so many `candidates`, sampled from the model, the one that is nearest in length is rejected. `options`: batch_size, desc.
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
    return [row(e, *pair(e["target_ids"], group, end=fim.end)) for e, group in zip(examples, groups, strict=True)]


def pair(target: Ids, candidates: list[Ids], *, end: int) -> tuple[Ids, Ids]:
    """(chosen, rejected) of a target and sampled completions, none of which is the truth where another one is to be had.

    Where no completion ends near the truth's length, one that goes on is cut where the truth ends, and both lack the end token.
    """
    chosen = [*target, end]
    ended = [c for c in candidates if c[-1] == end]
    ended = [c for c in ended if c != chosen] or ended
    nearest = min(ended, key=lambda c: abs(len(c) - len(chosen)), default=None)
    if nearest and matched(len(chosen), len(nearest)):
        return chosen, nearest
    longer = [c[: len(target)] for c in candidates if len(c) > len(target) and c[len(target) - 1] != end]
    longer = [c for c in longer if c != target] or longer
    return (target, longer[0]) if longer else (chosen, nearest)


def from_other_holes(examples: Sequence[dict], *, fim: Fim, seed: int) -> list[dict]:
    """The same rows, without a model: rejected is the target of another natural example, the nearest in length; ties are drawn."""
    pick = random.Random(f"{seed} rejected")
    targets = sorted({tuple(e["target_ids"]) for e in examples if e["source"] != "canary"})
    pick.shuffle(targets)
    rows = []
    for e in examples:
        others = [t for t in targets if list(t) != e["target_ids"]]
        if not others:
            raise InputError(
                "preferences.rejected: other_hole needs natural examples with different targets; enlarge corpus.pools.preference"
            )
        nearest = min(others, key=lambda t: abs(len(t) - len(e["target_ids"])))
        targets.append(targets.pop(targets.index(nearest)))  # to the end, so that the next tie takes another one
        rows.append(row(e, [*e["target_ids"], fim.end], [*nearest, fim.end]))
    return rows


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


def row(example: dict, chosen: Ids, rejected: Ids) -> dict:
    """A row of `preferences`."""
    return {**{k: example[k] for k in ("source", "source_id", "prompt_ids")}, "chosen_ids": chosen, "rejected_ids": rejected}


def word_ids(tokenizer) -> set[int]:
    """Ids of tokens of letters, digits and underscores: names, keywords and numbers."""
    special = {*tokenizer.all_special_ids}
    texts = ((i, tokenizer.decode([i]).strip()) for i in tokenizer.get_vocab().values() if i not in special)
    return {i for i, text in texts if text.replace("_", "a").isalnum()}
