"""Decoding by CUDA graphs: one step at a fixed shape is captured once and replayed, so that a card does not wait for the launch of each kernel.

Rows and columns are rounded up to few shapes; a row that has left the batch is read on for nothing. A new shape's first step is held to the ordinary
one: a model that gives other numbers decodes step by step, and the log says why; one that cannot be captured is refused. Without a card the
same step runs as it is, not captured, which is how the tests know it.
"""

import logging
from collections import OrderedDict

import torch

from ..errors import InputError, first_line
from . import generation, packing, reading

log = logging.getLogger(__name__)
ROWS, COLUMNS = 16, 128  # multiples to which rows and columns are rounded up
IN_BF16 = 0.25  # of the outputs' standard deviation, where reading.SAME holds for fp32: the last bits of bf16 stay below it
SHAPES = 4  # as many are kept, those used last: each holds keys and values of its own


def enable(model) -> None:
    """Have `generation.decode` use graphs of this model, whose weights may change in place. One that reads padded rows decodes by the library."""
    if packing.takes(model):
        model.captured = Captured()
    else:
        log.warning("%s decodes without CUDA graphs: it reads padded rows", type(model).__name__)


class Captured:
    """The shapes that a model was captured at; `because` says why it is decoded step by step instead."""

    def __init__(self):
        self.shapes: OrderedDict[tuple, Fixed] = OrderedDict()
        self.because: str | None = None

    def __deepcopy__(self, memo):
        """That of a copied model, which has other weights."""
        return Captured()

    def opened(self, model, cache: generation.Cache, *, positions: torch.Tensor, room: int) -> "generation.Cache | Fixed":
        """What goes on from an opened cache, for up to `room` tokens of rows at `positions`: a fixed shape, or the cache itself. Raises InputError where
        the model cannot be captured: after an attempt CUDA's random numbers cannot be drawn any more in this process.
        """
        if self.because or room == 1:
            return cache
        sizes = ((len(positions), ROWS), (cache.columns + room, COLUMNS))
        rows, columns = (-(-size // unit) * unit for size, unit in sizes)
        shape = (rows, columns, cache.layers[0][0].dtype)
        fixed = self.shapes.pop(shape, None)
        try:
            fixed = fixed or self._made(model, cache, rows=rows, columns=columns, positions=positions, room=room)
        except Exception as e:  # whatever an architecture raises
            raise InputError(
                f"cuda_graphs: {type(model).__name__} cannot be captured ({first_line(e, 120)}); set it to false, and run again"
            ) from e
        if self.because:
            log.warning("%s decodes without CUDA graphs: %s", type(model).__name__, self.because)
            self.shapes.clear()
            return cache
        self.shapes[shape] = fixed
        while len(self.shapes) > SHAPES:
            self.shapes.popitem(last=False)
        fixed.take(cache, count=len(positions), room=room)
        return fixed

    def _made(self, model, cache: generation.Cache, *, rows: int, columns: int, positions: torch.Tensor, room: int) -> "Fixed":
        """A new shape, captured; `because` is set where its first step gives other numbers than the cache's own."""
        step = dict(model=model, tokens=torch.zeros_like(positions), positions=positions)
        fixed = Fixed(cache, rows=rows, columns=columns)
        fixed.take(cache, count=len(positions), room=room)
        if positions.device.type == "cuda":
            fixed.capture(model)
            fixed.take(cache, count=len(positions), room=room)
        found, expected = fixed.advance(**step).clone(), cache.advance(**step)
        cache.columns -= 1  # the next token takes this one's place
        in_bf16 = torch.is_autocast_enabled(positions.device.type)
        if different := reading.unlike(found, expected, same=IN_BF16 if in_bf16 else reading.SAME):
            self.because = f"a captured step has {different}"
        return fixed


class Fixed:
    """What an opened `generation.Cache` is to `decode` and to attention, in buffers that stay where they are: the next column is a number on the device."""

    def __init__(self, cache: generation.Cache, *, rows: int, columns: int):
        zeros = lambda x: x.new_zeros(rows, x.shape[1], columns, x.shape[3])  # noqa: E731
        device = cache.layers[0][0].device
        self.layers = {layer: tuple(map(zeros, both)) for layer, both in cache.layers.items()}
        self.mask = torch.zeros(rows, 1, 1, columns, dtype=torch.bool, device=device)  # of what the next token of each row may attend to
        self.tokens, self.positions = torch.zeros(2, rows, 1, dtype=torch.long, device=device)
        self.column = torch.zeros(1, dtype=torch.long, device=device)
        self.rows = torch.arange(rows, device=device)  # that are looked at
        self.columns, self.logits, self.graph = 0, None, None

    def take(self, cache: generation.Cache, *, count: int, room: int) -> None:
        """Start from the rows of an opened cache."""
        columns = cache.columns
        self.rows = torch.arange(count, device=self.rows.device)
        self.columns = columns + room - 1  # at the end: windows are measured by it
        self.mask.zero_()
        self.mask[:count, ..., :columns] = True if cache.filled is None else cache.filled[..., :columns]
        self.mask[count:, ..., :1] = True  # rows of nobody attend to something, too
        self.column.fill_(columns)
        for layer, both in cache.layers.items():
            for wide, own in zip(self.layers[layer], both, strict=True):
                wide[:count, :, :columns] = own[:, :, :columns]

    def extend(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Put one token's keys and values (rows, heads, 1, width) into the next column, and return all of them."""
        for wide, new in zip(self.layers[layer], (keys, values), strict=True):
            wide.index_copy_(2, self.column, new)
        return self.layers[layer]

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these: they are read on, and no more looked at."""
        self.rows = self.rows[rows]

    def advance(self, *, model, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits (rows, vocabulary) after one more token of each row, at these positions."""
        self.tokens[self.rows, 0], self.positions[self.rows, 0] = tokens, positions
        if self.graph:
            self.graph.replay()
        else:
            self._step(model)
        return self.logits[self.rows]

    def _step(self, model) -> None:
        """One token of all rows, from buffers into buffers."""
        self.mask.index_fill_(3, self.column, True)
        self.logits = model(input_ids=self.tokens, position_ids=self.positions, cache=self, use_cache=False).logits[:, -1]
        self.column += 1

    def capture(self, model) -> None:
        """Capture the step, after one for what is done once, on a stream of its own. Weights are cast to bf16 within it: casts that autocast keeps for
        a block would be gone at the next replay.
        """
        on = self.tokens.device.type
        casts = dict(dtype=torch.get_autocast_dtype(on), enabled=torch.is_autocast_enabled(on), cache_enabled=False)
        aside, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.autocast(on, **casts), torch.cuda.stream(aside):
            self._step(model)
            with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):  # other threads, as of NCCL, go on
                self._step(model)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = graph
