"""Probe one policy. A batch is one forward pass over prompts and targets, and a decoding that continues from it.

The pass gives the likelihood of every target, and with it the greedy completion up to the first token in which policy and target
differ. That settles what is memorized; only the rest is decoded, from the pass's own cache. Items with the same prompt share one
reading of it. No padding; the precision is the caller's autocast.
"""

from collections.abc import Iterator

import numpy as np
import torch

from .. import workers
from ..data.fim import Fim
from ..lm import generation, packing, padded
from ..progress import track
from . import measures
from .answer import BEYOND_TARGET, Answer
from .prompts import NO_END

NOT_IN_ROWS = ("prompt_ids", "secret", "before", "after")  # what measures read of an item, and rows do not repeat
AT_ONCE = 64  # fillings in one forward pass
Batch = list[tuple[list[int], list[int]]]  # distinct prompts, each with the places of its items


def probe(
    *,
    model,
    tokenizer,
    fim: Fim,
    items: list[dict],
    role: str,
    settings: dict,
    batch_size: int,
    desc: str,
    reference=None,
    fillings=None,
    pairs=None,
) -> list[dict]:
    """The measures of each item, in its order: the item's own keys without NOT_IN_ROWS, `completion_ids`, and the measures of `role`.

    `reference` is another policy (or the same one); `fillings` maps an item's place to the ids of its reference fillings, `pairs` to
    those of the chosen and the rejected completion of its preference pair, which need a reference. An item that fails fails the job;
    none is dropped from a denominator.
    """
    rows: dict[int, dict] = {}
    for i, completion, logprobs, others in answers(
        model=model, reference=reference, fim=fim, items=items, batch_size=batch_size, desc=desc
    ):
        prompt = items[i]["prompt_ids"]
        ranked = filling_logprobs(model=model, prompt=prompt, fillings=fillings[i]) if i in (fillings or {}) else None
        preferred = pair_logprobs(policies=(model, reference), prompt=prompt, pair=pairs[i]) if i in (pairs or {}) else None
        answer = Answer(
            item=items[i],
            completion_ids=completion,
            logprobs=logprobs,
            reference_logprobs=others,
            filling_logprobs=ranked,
            decode=tokenizer.decode,
            fim=fim,
            pair_logprobs=preferred,
        )
        named = {k: v for k, v in items[i].items() if k not in NOT_IN_ROWS}
        rows[i] = {**named, "completion_ids": completion, **measures.measure(answer, role=role, settings=settings)}
    rows = workers.merged(rows)
    return [rows[i] for i in range(len(items))]


@torch.inference_mode()
def answers(
    *, model, reference, fim: Fim, items: list[dict], batch_size: int, desc: str
) -> Iterator[tuple[int, list[int], np.ndarray, np.ndarray | None]]:
    """(place, greedy completion, logprobs, reference's logprobs or None) of each item of this worker's batches, not in the items' order.

    Log-probabilities are those of the next token at each place of the target: (target tokens, vocabulary), float64. Position t
    predicts token t + 1, so the target's first token is predicted at the prompt's last one: the off-by-one that public tools get
    wrong. Raises ValueError for an empty prompt or target.
    """
    models = [model.eval()] if reference is None or reference is model else [model.eval(), reference.eval()]
    for batch in track(workers.own(batches(items, batch_size)), desc=desc, unit="batch"):
        targets = [[[*items[i]["target_ids"], fim.end] for i in places] for _, places in batch]  # one token more: does it end there?
        packed, cache = packing.pack([(p, t) for (p, _), t in zip(batch, targets, strict=True)], device=model.device), generation.Cache()
        logits = [packing.logits(m, packed, cache=cache if m is model else None) for m in models]
        completions = complete(model=model, batch=batch, items=items, packed=packed, cache=cache, logits=logits[0], fim=fim)
        places = packed.rows.split(packed.sizes)
        for number, i in enumerate(i for _, group in batch for i in group):
            own, *other = [r.index_select(0, places[number][:-1]).log_softmax(dim=-1, dtype=torch.float64).cpu().numpy() for r in logits]
            yield i, completions[i], own, other[0] if other else (own if reference is model else None)


def batches(items: list[dict], batch_size: int) -> list[Batch]:
    """Items in batches of about `batch_size`, those with the same prompt together (and that go on as long without an end), those whose prompt
    and target are as long beside each other: rows that are decoded together end together, and their cache is as wide as the longest.
    """
    if not all(i["prompt_ids"] and i["target_ids"] for i in items):
        raise ValueError("a likelihood needs at least one prompt token and one target token")
    same: dict[tuple, list[int]] = {}
    for i, item in enumerate(items):
        same.setdefault((endless(item), *item["prompt_ids"]), []).append(i)
    room = {prompt: max(len(items[i]["target_ids"]) for i in places) for prompt, places in same.items()}
    groups, size = [], 0
    for prompt in sorted(same, key=lambda p: (len(p) + room[p], p)):
        if not groups or size + len(same[prompt]) > batch_size:
            groups, size = [*groups, []], 0
        groups[-1].append((list(prompt[1:]), same[prompt]))
        size += len(same[prompt])
    return groups


def endless(item: dict) -> int:
    """Tokens of an item's completion among which there may be no end token: as many as the target has under NO_END, else 0."""
    return len(item["target_ids"]) if item.get("probe") == NO_END else 0


def complete(
    *, model, batch: Batch, items: list[dict], packed: packing.Pack, cache: generation.Cache, logits: torch.Tensor, fim: Fim
) -> dict[int, list[int]]:
    """{place: greedy completion, up to BEYOND_TARGET tokens longer than its target}, from the pass over prompts and targets."""
    likeliest = generation.greedy(logits)
    first, known = [], []  # of each prompt: the row of the logits to go on from, and the tokens that the pass has settled
    rows, at = packed.rows.tolist(), 0
    for _, places in batch:
        target = items[places[0]]["target_ids"] if len(places) == 1 else []
        own = rows[at : at + len(target) + 1]
        if target and endless(items[places[0]]):
            early = logits[own[:-1]]
            likeliest[own[:-1]] = generation.greedy(padded.withheld(early, fim.ends, early.new_ones(len(early), dtype=torch.bool)))
        agreed = next(
            (n for n, (token, best) in enumerate(zip(target, likeliest[own].tolist(), strict=False)) if best != token), len(target)
        )
        first.append(own[agreed])
        known.append(target[:agreed])
        at += sum(len(items[i]["target_ids"]) + 1 for i in places)
    room = [max(len(items[i]["target_ids"]) for i in places) + BEYOND_TARGET - len(k) for (_, places), k in zip(batch, known, strict=True)]
    positions = [size + len(k) for size, k in zip(packed.prompts, known, strict=True)]
    cache.open(starts=packed.starts, lengths=positions, room=max(room))
    no_end = [endless(items[places[0]]) - len(k) for (_, places), k in zip(batch, known, strict=True)]
    decoded = generation.decode(model=model, cache=cache, logits=logits[first], positions=positions, room=room, no_end=no_end, fim=fim)
    return {
        i: generation.cut(k + new, len(items[i]["target_ids"]) + BEYOND_TARGET, fim.ends)
        for (_, places), k, new in zip(batch, known, decoded, strict=True)
        for i in places
    }


@torch.inference_mode()
def filling_logprobs(*, model, prompt: list[int], fillings: list[list[int]]) -> np.ndarray:
    """(fillings,): log-probability of each after the prompt, in nats; the prompt is read once for AT_ONCE of them."""
    order, sums = sorted(range(len(fillings)), key=lambda i: len(fillings[i])), np.zeros(len(fillings))
    for start in range(0, len(order), AT_ONCE):
        batch = order[start : start + AT_ONCE]
        sums[batch] = summed_logprobs(model, [(prompt, [fillings[i] for i in batch])])
    return sums


def pair_logprobs(*, policies: tuple, prompt: list[int], pair: list[list[int]]) -> np.ndarray:
    """((chosen, rejected), policies): log-probability of both completions of a preference pair under each policy, in nats."""
    return np.array([summed_logprobs(model, [(prompt, pair)]) for model in policies]).T


@torch.inference_mode()
def summed_logprobs(model, items: list[tuple[list[int], list[list[int]]]]) -> list[float]:
    """Log-probability in nats of each continuation of the (prompt, its continuations), in one forward pass."""
    packed = packing.pack(items, device=model.device)
    each = packing.logprobs(packing.logits(model, packed).float(), packed).double()
    return [float(part.sum()) for part in each.split(packed.sizes)]
