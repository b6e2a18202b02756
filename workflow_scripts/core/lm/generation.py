"""Completions from a policy, greedy or sampled: prompts are read without padding, finished rows leave the batch.

Ours and not the library's `generate`, because it continues where a reading has stopped: probing reads prompt and target in one pass
and decodes from the first token in which policy and target differ. A test checks that both give the same tokens.
"""

from collections.abc import Callable

import torch

from ..data.fim import Fim
from ..errors import InputError
from ..progress import track
from . import packing, padded

GROWTH = 16  # columns by which a cache grows: attention reads it the faster, the closer its columns lie together
FINISHED = 0.2  # share of finished rows from which it pays to copy the others together


class Cache:
    """Keys and values of each layer: first of a packed row, then, once opened, of rows that grow by one token at a time.

    Of a model that reads padded rows it holds the tokens instead, and the library's own cache serves the decoding (padded.decode).
    """

    def __init__(self):
        self.ids: list[int] | None = None  # of the packed row, where the model reads padded ones
        self.rows: list[list[int]] = []
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.columns = 0  # tokens of the longest row so far
        self.filled = None  # (rows, 1, 1, columns + room): where a row has or may get tokens

    @property
    def mask(self) -> torch.Tensor | None:
        """(rows, 1, 1, columns + 1) of what the next token of each row may attend to; None where that is everything."""
        return self.filled if self.filled is None else self.filled[..., : self.columns + 1]

    def put(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keep keys and values (1, heads, tokens, width) of a packed row."""
        self.layers[layer] = keys, values

    def hold(self, packed: packing.Pack) -> None:
        """Keep the tokens of the packed row."""
        self.ids = packed.ids[0].tolist()

    def open(self, *, starts: list[int], lengths: list[int], room: int) -> None:
        """Make a row of `lengths[i]` tokens from place `starts[i]` of the packed row, with `room` for more; rows end together."""
        if self.ids is not None:
            self.rows = [self.ids[start : start + length] for start, length in zip(starts, lengths, strict=True)]
            return
        self.columns = max(lengths)
        device = self.layers[0][0].device
        begin, size = torch.tensor(starts, device=device)[:, None], torch.tensor(lengths, device=device)[:, None]
        offset = torch.arange(self.columns, device=device) - (self.columns - size)  # negative before a row begins
        place = begin + offset.clamp(min=0)
        self.layers = {layer: tuple(self._spread(x, place) for x in both) for layer, both in self.layers.items()}
        if min(lengths) < self.columns:
            self.filled = torch.nn.functional.pad(offset >= 0, (0, room), value=True)[:, None, None]

    def _spread(self, packed: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """(1, heads, tokens, width) -> (rows, heads, columns + GROWTH, width)."""
        return _wider(packed[0].index_select(1, place.flatten()).unflatten(1, place.shape).transpose(0, 1))

    def extend(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Put one token's keys and values (rows, heads, 1, width) behind the others, and return all: (rows, heads, columns + 1, width)."""
        if self.layers[layer][0].shape[2] == self.columns:
            self.layers[layer] = tuple(map(_wider, self.layers[layer]))
        both = self.layers[layer]
        for wide, new in zip(both, (keys, values), strict=True):
            wide[:, :, self.columns] = new[:, :, 0]
        return tuple(wide[:, :, : self.columns + 1] for wide in both)

    def advance(self, *, model, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits (rows, vocabulary) after one more token of each row, at these positions."""
        if self.ids is not None:
            self.rows = [[*row, token] for row, token in zip(self.rows, tokens.tolist(), strict=True)]
            return packing.logits(model, packing.pack([(row, [[]]) for row in self.rows], device=model.device))
        logits = model(input_ids=tokens[:, None], position_ids=positions[:, None], cache=self, use_cache=False).logits[:, -1]
        self.columns += 1
        return logits

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        if self.ids is not None:
            self.rows = [self.rows[i] for i in rows.tolist()]
            return
        self.layers = {layer: tuple(x.index_select(0, rows) for x in both) for layer, both in self.layers.items()}
        self.filled = self.filled if self.filled is None else self.filled[rows]


def _wider(columns: torch.Tensor) -> torch.Tensor:
    """(rows, heads, columns, width) -> (rows, heads, columns + GROWTH, width)."""
    return torch.nn.functional.pad(columns, (0, 0, 0, GROWTH))


def greedy(logits: torch.Tensor) -> torch.Tensor:
    """(rows,): the likeliest token of each, the first of several."""
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        return torch.from_numpy(logits.detach().numpy().argmax(axis=-1))  # torch's takes ten times as long
    return logits.argmax(dim=-1)


def sampler(temperature: float, generator: torch.Generator | None = None) -> Callable[[torch.Tensor], torch.Tensor]:
    """A choice from the full distribution at `temperature`: no top-k, no top-p. By torch's global generator where none is given.

    One uniform number per row, looked up in the cumulated probabilities: torch.multinomial draws one for every token.
    """

    def choose(logits: torch.Tensor) -> torch.Tensor:
        reached = torch.softmax(logits.float() / temperature, dim=-1).cumsum(dim=-1)
        drawn = torch.rand(len(logits), 1, generator=generator, device=logits.device) * reached[:, -1:]
        return torch.searchsorted(reached, drawn, right=True).clamp(max=logits.shape[-1] - 1)[:, 0]

    return choose


@torch.inference_mode()
def decode(
    *,
    model,
    cache: Cache,
    logits: torch.Tensor,
    positions: list[int],
    room: list[int],
    fim: Fim,
    choose=greedy,
    no_end: list[int] | None = None,
) -> list[list[int]]:
    """New tokens of each row of an opened cache: the first from `logits` (rows, vocabulary), at most `room[i]` >= 1 of them, up to
    and including an end token where one comes. `positions[i]` is that of the first new token; among the first `no_end[i]` tokens there
    is no end token. Raises InputError where a logit is not finite.
    """

    def chosen(logits: torch.Tensor) -> torch.Tensor:
        if not torch.isfinite(logits.amax()):
            raise InputError("the policy that completes gives logits that are not finite; lower its learning_rate, and run again")
        return choose(logits)

    if cache.ids is not None:
        made = padded.decode(model, rows=cache.rows, room=room, no_end=no_end or [0] * len(room), ends=fim.ends, pad=fim.pad, choose=chosen)
        return [cut(row, limit, fim.ends) for row, limit in zip(made, room, strict=True)]
    device, count = logits.device, len(room)
    made = torch.full((count, max(room)), -1, device=device)
    rows, left = torch.arange(count, device=device), torch.tensor(room, device=device)
    position, going = torch.tensor(positions, device=device), torch.ones(count, dtype=torch.bool, device=device)
    last = position + left - 1  # a finished row goes no further: its model may have no more positions
    endless = torch.tensor(no_end or [0] * count, device=device)
    if captured := getattr(model, "captured", None):
        cache = captured.opened(model, cache, positions=position, room=max(room))
    ends = torch.tensor(fim.ends, device=device)
    for step in range(max(room)):
        tokens = chosen(padded.withheld(logits, fim.ends, endless > step))
        made[rows, step] = tokens
        going = going & ~torch.isin(tokens, ends) & (left > step + 1)
        share = going.float().mean().item()
        if share == 0:
            break
        if share <= 1 - FINISHED:
            kept = going.nonzero()[:, 0]
            rows, left, position, last, tokens, going, endless = (x[kept] for x in (rows, left, position, last, tokens, going, endless))
            cache.keep(kept)
        logits = cache.advance(model=model, tokens=tokens, positions=position)
        position = torch.minimum(position + 1, last)
    return [cut(row, limit, fim.ends) for row, limit in zip(made.tolist(), room, strict=True)]


def cut(row: list[int], limit: int, ends: tuple[int, ...]) -> list[int]:
    """The row's own tokens, without what a finished row decoded while others continued."""
    row = row[:limit]
    return row[: next((at for at, token in enumerate(row, 1) if token in ends), limit)]


@torch.inference_mode()
def complete(
    *, model, prompts: list[list[int]], max_new_tokens: list[int], fim: Fim, batch_size: int, desc: str, choose=greedy, samples: int = 1
) -> list[list[int]]:
    """New token ids of each prompt, at most its `max_new_tokens`, up to and including an end token where one comes.

    `choose` takes logits (rows, vocabulary) to tokens (rows,). The order of results is that of the prompts; with several `samples`,
    those of a prompt, which is read once, stand side by side. `batch_size` counts prompts.
    """
    model.eval()
    order = sorted(range(len(prompts)), key=lambda i: (max_new_tokens[i], len(prompts[i])))
    results: list[list[list[int]]] = [[] for _ in prompts]
    for start in track(range(0, len(order), batch_size), desc=desc, unit="batch"):
        batch, cache = order[start : start + batch_size], Cache()
        packed = packing.pack([(prompts[i], [[]]) for i in batch], device=model.device)
        logits = packing.logits(model, packed, cache=cache).repeat_interleave(samples, dim=0)
        rows = [at for at in range(len(batch)) for _ in range(samples)]
        starts, lengths, room = ([of[at] for at in rows] for of in (packed.starts, packed.prompts, [max_new_tokens[i] for i in batch]))
        cache.open(starts=starts, lengths=lengths, room=max(room))
        made = decode(model=model, cache=cache, logits=logits, positions=lengths, room=room, fim=fim, choose=choose)
        for at, tokens in zip(rows, made, strict=True):
            results[batch[at]].append(tokens)
    if captured := getattr(model, "captured", None):
        captured.release()
    return [tokens for made in results for tokens in made]
