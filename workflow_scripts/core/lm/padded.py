"""Rows with padding, for models that cannot read packed ones (models.packed): the same numbers, slower.

A prompt is read again with each of its continuations, in rows that are filled up on their right. Whatever is causal, be it attention,
a convolution or a recurrent state, never looks there, so that no model needs a mask. Rows of equal length are decoded together, by the
library's `generate`, which knows the cache of every architecture.
"""

import inspect
from collections.abc import Callable

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList


def logits(model, packed) -> torch.Tensor:
    """(needed, vocabulary): the model's logits at the `places` of a packing.Pack."""
    ids, row, column = unpacked(packed)
    row, column, options = row[packed.places], column[packed.places], {}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        options["logits_to_keep"], column = column.unique(return_inverse=True)
    return model(input_ids=ids, use_cache=False, **options).logits[row, column]


def hidden(model, packed) -> torch.Tensor:
    """(tokens, width): the last hidden state at each place of the packed row."""
    ids, row, column = unpacked(packed)
    return getattr(model, model.base_model_prefix)(input_ids=ids, use_cache=False).last_hidden_state[row, column]


def unpacked(packed) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(ids (rows, longest); row and column of each place of the packed row): one row per continuation, those of a prompt with none for
    the prompt itself. The prompt's own places are in the first of its rows.
    """
    ids, sizes = packed.ids[0], iter([size for size in packed.sizes if size])
    rows, row = [], []
    for start, size, stop in zip(packed.starts, packed.prompts, [*packed.starts[1:], len(ids)], strict=True):
        at, prompt = start + size, ids[start : start + size]
        row += [len(rows)] * size
        rows += [prompt] if at == stop else []
        while at < stop:
            length = next(sizes)
            row += [len(rows)] * length
            rows.append(torch.cat([prompt, ids[at : at + length]]))
            at += length
    return pad_sequence(rows, batch_first=True), torch.tensor(row, device=ids.device), packed.positions[0]


def withheld(logits: torch.Tensor, tokens: tuple[int, ...], rows: torch.Tensor) -> torch.Tensor:
    """Logits (rows, vocabulary) under which none of these tokens can be chosen in the `rows` (rows,) that are true."""
    if not rows.any():
        return logits
    without = logits.index_fill(1, torch.tensor([i for i in tokens if i < logits.shape[1]], device=logits.device), -torch.inf)
    return torch.where(rows[:, None], without, logits)


class Chosen(LogitsProcessor):
    """Lets the library's greedy decoding take the token that `choose` takes, no end among the first `endless` (rows,) new ones."""

    def __init__(self, choose: Callable[[torch.Tensor], torch.Tensor], *, ends: tuple[int, ...], endless: torch.Tensor, length: int):
        self.choose, self.ends, self.endless, self.length = choose, ends, endless, length

    def __call__(self, input_ids, scores):
        """(rows, vocabulary): 0 at the chosen token, minus infinity elsewhere."""
        scores = withheld(scores, self.ends, self.endless > input_ids.shape[1] - self.length)
        return torch.full_like(scores, -torch.inf).scatter(1, self.choose(scores)[:, None], 0.0)


def decode(model, *, rows: list[list[int]], room: list[int], no_end: list[int], ends: tuple[int, ...], pad: int, choose) -> list[list[int]]:
    """New tokens of each row, at most `room[i]`, among the first `no_end[i]` no end, with what a finished row decoded while others continued."""
    made: list[list[int]] = [[] for _ in rows]
    for length in sorted({len(row) for row in rows}):
        same = [i for i, row in enumerate(rows) if len(row) == length]
        ids = torch.tensor([rows[i] for i in same], device=model.device)
        longest = max(room[i] for i in same)
        settings = GenerationConfig(max_new_tokens=longest, do_sample=False, eos_token_id=[*ends], pad_token_id=pad)
        chosen = Chosen(choose, ends=ends, endless=torch.tensor([no_end[i] for i in same], device=model.device), length=length)
        options = dict(attention_mask=torch.ones_like(ids), logits_processor=LogitsProcessorList([chosen]))
        for i, new in zip(same, model.generate(ids, generation_config=settings, **options)[:, length:].tolist(), strict=True):
            made[i] = new
    return made
