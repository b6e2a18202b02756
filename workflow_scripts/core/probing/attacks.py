"""Really sampled attacks: n completions of a canary's own prompt, and how many of them are its target, exactly or nearly.

They check the computed (n, p) by another way: tokens are decoded one by one from the cache, and drawn by the library's own temperature,
top-k and top-p. Two things make n samples cheap, and leave both counts distributed as those of n full samples: samples that agree so
far are one row of the batch, and a sample is given up as soon as no continuation can bring it near the target.
"""

import random

import torch
from rapidfuzz.distance import Levenshtein
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from .. import workers
from ..data.fim import Fim
from ..lm import generation, packing
from ..progress import track
from .measures.completion import edit_distance

ROWS = 512  # samples that are decoded at a time
SAMPLING = ("temperature", "top_k", "top_p")


def sample(*, model, tokenizer, fim: Fim, canaries: list[dict], settings: dict, seed: int, desc: str) -> dict[str, dict]:
    """{canary_id: {"sampled_exact", "sampled_near"}}: how many samples are the target, token for token, and how many lie within the
    normalized edit distance of it, compared as greedy completions are: no longer than the target, without the end token.

    Of `settings`, those of `probes`, it takes sampled_attacks (1 or more samples), memorized_distance, temperature, top_k and top_p.
    The draws of a canary follow from `seed` and its name alone.
    """
    samples, distance = settings["sampled_attacks"], settings["memorized_distance"]
    at_once = max(1, ROWS // samples)
    order = sorted(canaries, key=lambda c: len(c["target_ids"]))

    def attack(start: int) -> dict[str, dict]:
        batch = order[start : start + at_once]
        draws = torch.stack([_draws(f"{seed}/{c['canary_id']}", samples, len(batch[-1]["target_ids"])) for c in batch])
        options = dict(fim=fim, batch=batch, draws=draws, warp=warper(**{k: settings[k] for k in SAMPLING}), distance=distance)
        counts = _attack(model=model.eval(), decode=tokenizer.decode, **options)
        return {c["canary_id"]: count for c, count in zip(batch, counts, strict=True)}

    starts = track(range(0, len(order), at_once), desc=f"{desc} attacks", unit="batch")
    return {name: count for found in workers.divided(starts, attack) for name, count in found.items()}


def warper(*, temperature: float, top_k: int, top_p: float) -> LogitsProcessorList:
    """The library's own changes of logits; top_k 0 and top_p 1 keep all."""
    kept = [TopKLogitsWarper(top_k)] if top_k else []
    return LogitsProcessorList([TemperatureLogitsWarper(temperature), *kept, *([TopPLogitsWarper(top_p)] if top_p < 1 else [])])


def _draws(name: str, samples: int, tokens: int) -> torch.Tensor:
    """(samples, tokens) uniform numbers, of which the first tokens' do not depend on how many follow."""
    generator = torch.Generator().manual_seed(random.Random(name).getrandbits(63))
    return torch.rand(tokens, samples, generator=generator, dtype=torch.float64).T


@torch.inference_mode()
def _attack(*, model, decode, fim: Fim, batch: list[dict], draws: torch.Tensor, warp, distance: float) -> list[dict]:
    """The counts of each canary; `draws` has the shape (canaries, samples, tokens)."""
    cache, packed = generation.Cache(), packing.pack([(c["prompt_ids"], [[]]) for c in batch], device=model.device)
    logits = packing.logits(model, packed, cache=cache)
    cache.open(starts=packed.starts, lengths=packed.prompts, room=draws.shape[2])
    counts = [dict(sampled_exact=0, sampled_near=0) for _ in batch]
    targets = [decode(c["target_ids"]) for c in batch]
    owner, texts = [*range(len(batch))], [[] for _ in batch]  # of each row: its canary, and its tokens so far
    row, sample = torch.arange(len(batch)).repeat_interleave(draws.shape[1]), torch.arange(draws.shape[1]).repeat(len(batch))
    canary = row.clone()
    for step in range(draws.shape[2]):
        # 1. each sample draws a token from its row's distribution; those of a row that draw the same one stay together
        children, row = torch.unique(_drawn(warp(None, logits), row, draws[canary, sample, step]), return_inverse=True)
        sizes, parents = torch.bincount(row).tolist(), children // logits.shape[-1]
        # 2. rows that are finished are counted, those that are far from the target given up
        kept, made = [], []
        for place, (parent, token) in enumerate(zip(parents.tolist(), (children % logits.shape[-1]).tolist(), strict=True)):
            of = owner[parent]
            ids, target_ids, target = [*texts[parent], token], batch[of]["target_ids"], targets[of]
            if token in fim.ends or len(ids) == len(target_ids):
                near = edit_distance(decode(fim.bare(ids)), target)[1] <= distance
                counts[of]["sampled_exact"] += sizes[place] * (ids == target_ids)
                counts[of]["sampled_near"] += sizes[place] * near
            elif ids == target_ids[: len(ids)] or can_be_near(decode(ids), target, distance):
                kept.append(place)
                made.append((of, ids))
        if not kept:
            break
        # 3. the others go on by this token
        renamed = torch.full((len(sizes),), -1)
        renamed[kept] = torch.arange(len(kept))
        going = renamed[row] >= 0
        row, sample, canary = renamed[row][going], sample[going], canary[going]
        owner, texts = [of for of, _ in made], [ids for _, ids in made]
        cache.keep(parents[kept].to(model.device))
        positions = torch.tensor([packed.prompts[of] + step for of in owner], device=model.device)
        new = torch.tensor([ids[-1] for ids in texts], device=model.device)
        logits = cache.advance(model=model, tokens=new, positions=positions)
    return counts


def _drawn(logits: torch.Tensor, row: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """(samples,): row x vocabulary + the token that a sample of this `row` of the logits gets by its number in 0 .. 1.

    One search for all: the cumulated probabilities of row r lie in r .. r + 1.
    """
    reached = torch.softmax(logits.double(), dim=-1).cumsum(dim=-1).cpu()
    reached = reached / reached[:, -1:] + torch.arange(len(reached))[:, None]
    return torch.searchsorted(reached.flatten(), row + draws, right=True).clamp(max=(row + 1) * logits.shape[-1] - 1)


def can_be_near(text: str, target: str, distance: float) -> bool:
    """Whether a completion that begins with `text` can lie within the normalized edit `distance` of the target.

    It can if `text` is near a beginning of the target: what follows only adds edits. The edits allowed count the longest text that can
    be near, target / (1 - distance). A torn character at the end is left out.
    """
    text, most = text.rstrip("\ufffd"), int(distance / (1 - distance) * len(target) + 1e-9)
    lengths = range(max(0, len(text) - most), min(len(target), len(text) + most) + 1)
    return any(Levenshtein.distance(text, target[:n], score_cutoff=most) <= most for n in lengths)
