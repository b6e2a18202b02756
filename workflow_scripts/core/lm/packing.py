"""Batches without padding: prompts and their continuations lie end to end in one row, and attention keeps them apart.

A prompt with several continuations (a chosen and a rejected one, or 64 fillings) is read once. Everything but attention sees one
long row, so no arithmetic is spent on padding; attention sees each continuation after its own prompt and nothing else.
Models are loaded with the attention `NAME`, which is `attend` below and calls the library once per part of the row; on CUDA with `IN_BLOCKS`,
one kernel for all of it. Those that can neither (reading.settled) give the same numbers from padded rows.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from . import padded

NAME, IN_BLOCKS = "canaryflow_packed", "canaryflow_packed_in_blocks"
# what models hand to attention beside its own arguments, and does not change it
HARMLESS = {"position_ids", "position_embeddings", "cache_position", "use_cache", "return_dict"}
HARMLESS |= {"output_attentions", "output_hidden_states", "output_router_logits"}
_LONGEST: ContextVar[float] = ContextVar("tokens of the longest sequence that will be read", default=0)
IN_CACHE = 32  # rows of logits that are summed at a time: all of them at once take twice as long on a CPU


@dataclass(frozen=True)
class Part:
    """Neighbours in a packed row that attention reads in one call: `count` sequences of `length` tokens, each of which continues the
    `shared` tokens of the prompt last read; 0 where they continue nothing.
    """

    shared: int
    length: int
    count: int
    mask: torch.Tensor | None  # (length, shared + length): what a token of a continuation may attend to; None where causal says it


@dataclass(frozen=True)
class Layout:
    """Which tokens of a packed row belong together."""

    parts: list[Part]
    device: torch.device | str

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt with a continuation."""
        return max(part.shared + part.length for part in self.parts)

    @functools.cached_property
    def blocks(self) -> BlockMask:
        """What each token of the row may attend to, for one kernel that skips blocks in which nothing is."""
        own, continued, prompt, number = [], [], 0, 0  # of each token: its sequence, and the one whose end that continues
        for part in self.parts:
            for _ in range(part.count):
                prompt = prompt if part.shared else number
                own += [number] * part.length
                continued += [prompt] * part.length
                number += 1
        mine, before = (torch.tensor(x, device=self.device) for x in (own, continued))

        def seen(_batch, _head, query, key):
            return (query >= key) & ((mine[query] == mine[key]) | (before[query] == mine[key]))

        return create_block_mask(seen, None, None, len(own), len(own), device=self.device)


@dataclass(frozen=True)
class Pack:
    """Prompts with their continuations in one row, and where the continuations' tokens are predicted.

    `places` are the positions whose logits are needed: the last token of each prompt and all but the last of each continuation.
    Token k of all continuations, one after the other, is `tokens[k]`, and row `rows[k]` of those logits predicts it.
    """

    ids: torch.Tensor  # (1, tokens)
    positions: torch.Tensor  # (1, tokens), counted from the start of the token's own prompt
    layout: Layout
    places: torch.Tensor  # (needed,)
    tokens: torch.Tensor  # (continuation tokens,)
    rows: torch.Tensor  # (continuation tokens,)
    sizes: list[int]  # tokens of each continuation, in the order given
    ends: torch.Tensor  # (continuations,): place of each continuation's last token
    starts: list[int]  # place of each prompt's first token
    prompts: list[int]  # tokens of each prompt

    def inputs(self) -> dict:
        """Keyword arguments of a model's forward pass."""
        return dict(input_ids=self.ids, position_ids=self.positions, layout=self.layout, use_cache=False)

    def continuations(self) -> Iterator[tuple[list[int], list[int]]]:
        """(ids of the prompt, ids of the continuation), in the order given; no continuation may be empty."""
        ids, sizes = self.ids[0].tolist(), iter(self.sizes)
        for start, size, stop in zip(self.starts, self.prompts, [*self.starts[1:], len(ids)], strict=True):
            prompt, at = ids[start : start + size], start + size
            while at < stop:
                length = next(sizes)
                yield prompt, ids[at : at + length]
                at += length


def pack(items: list[tuple[list[int], list[list[int]]]], *, device="cpu") -> Pack:
    """(prompt, its continuations) end to end; a continuation may be empty. Raises ValueError where a prompt is, or has none."""
    ids, positions, places, tokens, rows, ends, starts, read = [], [], [], [], [], [], [], []
    for prompt, continuations in items:
        if not prompt or not continuations:
            raise ValueError("a likelihood needs at least one prompt token and a continuation")
        size, shared = len(prompt), len(places)
        starts.append(len(ids))
        places.append(len(ids) + size - 1)
        ids += prompt
        positions += range(size)
        single = len(continuations) == 1
        read += [(0, size + len(continuations[0]))] if single else [(0, size), *((size, len(c)) for c in continuations if c)]
        for continuation in continuations:
            rows += [shared, *range(len(places), len(places) + len(continuation) - 1)][: len(continuation)]
            places += range(len(ids), len(ids) + len(continuation) - 1)
            tokens += continuation
            ids += continuation
            positions += range(size, size + len(continuation))
            ends.append(len(ids) - 1)
    index = lambda values: torch.tensor(values, device=device)  # noqa: E731
    return Pack(
        ids=index(ids)[None],
        positions=index(positions)[None],
        layout=Layout([Part(*sizes, len(list(run)), _mask(*sizes, device)) for sizes, run in itertools.groupby(read)], device),
        places=index(places),
        tokens=index(tokens),
        rows=index(rows),
        sizes=[len(c) for _, continuations in items for c in continuations],
        ends=index(ends),
        starts=starts,
        prompts=[len(prompt) for prompt, _ in items],
    )


def takes(model) -> bool:
    """Whether the model reads packed rows; else padded ones."""
    return model.config._attn_implementation in (NAME, IN_BLOCKS)


def logits(model, packed: Pack, *, cache=None) -> torch.Tensor:
    """(needed, vocabulary): the model's logits at `places`; nowhere else are they computed. A `cache` (generation.Cache) is filled."""
    if not takes(model):
        if cache is not None:
            cache.hold(packed)
        return padded.logits(model, packed)
    more = {} if cache is None else dict(cache=cache)
    return model(**packed.inputs(), logits_to_keep=packed.places, **more).logits[0]


def hidden(model, packed: Pack) -> torch.Tensor:
    """(tokens, width): the last hidden state of the model's body at each place of the packed row."""
    if not takes(model):
        return padded.hidden(model, packed)
    return getattr(model, model.base_model_prefix)(**packed.inputs()).last_hidden_state[0]


def logprobs(logits: torch.Tensor, packed: Pack) -> torch.Tensor:
    """(continuation tokens,): log-probability of each token of the continuations under the logits, in nats."""
    totals = torch.cat([part.logsumexp(dim=-1) for part in logits.split(IN_CACHE)])
    return logits[packed.rows, packed.tokens] - totals[packed.rows]


def scores(model, packed: Pack) -> torch.Tensor:
    """(continuations,): the reward of each prompt with its continuation, read at the last token."""
    return model.score(hidden(model, packed)[packed.ends])[:, 0]


def attend(
    module, query, key, value, attention_mask, *, scaling=None, dropout=0.0, layout=None, cache=None, in_blocks: bool = False, **options
):
    """Attention of a packed row (1, heads, tokens, width) with its `layout`, or of one new token per row (rows, heads, 1, width) with a
    `cache`; with both, the keys and values of the packed row are put into the cache; with neither, rows are full and causal. A row is read
    `in_blocks` where nothing is dropped out, which that kernel cannot do.

    Raises NotImplementedError for what it cannot do.
    """
    if attention_mask is not None:  # of the model's own: what it says would be lost
        raise NotImplementedError("packed attention takes no mask of the model's own; use another model")
    longest = layout.longest if layout else key.shape[2] if cache is None else cache.columns + 1
    refuse(longest=longest, **options)
    same = dict(scale=scaling, dropout_p=dropout, enable_gqa=query.shape[1] != key.shape[1])
    if layout is None and cache is None:  # rows without padding
        if query.shape[2] != key.shape[2]:
            raise NotImplementedError("packed attention does not continue the library's cache; use generation.complete")
        return _attention(query, key, value, is_causal=True, **same).transpose(1, 2), None
    if layout is None:
        keys, values = cache.extend(module.layer_idx, key, value)
        return scaled_dot_product_attention(query, keys, values, attn_mask=cache.mask, **same).transpose(1, 2), None
    if cache is not None:
        cache.put(module.layer_idx, key, value)
    if in_blocks and not dropout:
        return _in_blocks(query, key, value, layout.blocks, scaling), None
    tokens = [part.length * part.count for part in layout.parts]
    made, prompt = [], ()
    for part, *chunk in zip(layout.parts, *(x.split(tokens, dim=2) for x in (query, key, value)), strict=True):
        queries, *read = (_stacked(x, part.count) for x in chunk)
        if part.shared:
            both = [torch.cat([before.expand(part.count, -1, -1, -1), own], dim=2) for before, own in zip(prompt, read, strict=True)]
            attended = _attention(queries, *both, attn_mask=part.mask, **same)
        else:
            attended, prompt = _attention(queries, *read, is_causal=True, **same), [x[-1:] for x in read]
        made.append(attended.transpose(1, 2).flatten(0, 1))
    return torch.cat(made)[None], None


def _attention(query, key, value, **options) -> torch.Tensor:
    """The library's kernel; on a CPU in fp32 under autocast, too, as its backward pass takes three times as long there in bf16."""
    if query.device.type != "cpu":
        return scaled_dot_product_attention(query, key, value, **options)
    with torch.autocast("cpu", enabled=False):
        return scaled_dot_product_attention(query.float(), key.float(), value.float(), **options).to(query.dtype)


def _in_blocks(query, key, value, blocks: BlockMask, scaling: float | None) -> torch.Tensor:
    """(1, tokens, heads, width), in the precision of autocast, which does not know this kernel. It is compiled on CUDA alone, where it pays."""
    on = query.device.type
    dtype = torch.get_autocast_dtype(on) if torch.is_autocast_enabled(on) else query.dtype
    kernel = _compiled() if on == "cuda" else flex_attention
    inputs = [x.to(dtype) for x in (query, key, value)]
    return kernel(*inputs, block_mask=blocks, scale=scaling, enable_gqa=query.shape[1] != key.shape[1]).transpose(1, 2)


@functools.cache
def _compiled():
    """The kernel, compiled once for rows of every length."""
    return torch.compile(flex_attention, dynamic=True)


def _stacked(x: torch.Tensor, count: int) -> torch.Tensor:
    """(1, heads, count * length, width) -> (count, heads, length, width)."""
    return x if count == 1 else x[0].unflatten(1, (count, -1)).transpose(0, 1)


def _mask(shared: int, length: int, device) -> torch.Tensor | None:
    """(length, shared + length): each token sees what is shared, and its own sequence up to itself. None where causal says it."""
    return torch.ones(length, shared + length, dtype=torch.bool, device=device).tril(shared) if shared else None


@contextlib.contextmanager
def sequences_of(tokens: int | None) -> Iterator[None]:
    """Within the block every sequence counts as so long, or as longer than anything: what may come is refused as if it were there."""
    token = _LONGEST.set(float("inf") if tokens is None else tokens)
    try:
        yield
    finally:
        _LONGEST.reset(token)


def refuse(*, longest: int, sliding_window=None, softcap=None, is_causal=True, **others) -> None:
    """Raise NotImplementedError for scores that are capped, a window shorter than a sequence, and whatever else may change attention."""
    if softcap is not None:
        raise NotImplementedError("it caps its attention scores")
    if sliding_window and max(longest, _LONGEST.get()) > sliding_window:  # some write 0 for none
        raise NotImplementedError(f"a layer attends to {sliding_window} tokens, fewer than a sequence may have")
    unknown = sorted(name for name, value in others.items() if value is not None and name not in HARMLESS)
    if unknown or is_causal is False:
        raise NotImplementedError(f"packed attention does not know {unknown[0] if unknown else 'is_causal=False'}; use another model")


def no_mask(*_, attention_mask=None, local_size: int | None = None, **__) -> None:
    """What the library makes of a mask for `attend`: nothing. Raises NotImplementedError where there is padding to be masked, or may be a
    sequence longer than the window or chunk of `local_size` tokens, which the model's layers need not tell attention.
    """
    refuse(longest=0, sliding_window=local_size)
    if attention_mask is not None and not attention_mask.all():
        raise NotImplementedError("packed attention takes no mask: there is no padding in its rows; use packing.pack and packing.logits")


for _name, _attend in {NAME: attend, IN_BLOCKS: functools.partial(attend, in_blocks=True)}.items():
    AttentionInterface.register(_name, _attend)
    AttentionMaskInterface.register(_name, no_mask)
