"""Decoding by CUDA graphs: one step at a fixed shape is captured once and replayed, so that a card does not wait for the launch of each kernel.

Rows and columns are rounded up to few shapes; a row that has left the batch is read on for nothing. A new shape's first step is held to the ordinary
one: a model that cannot be read so, or gives other numbers, decodes step by step, and the log says why; only where a capture itself fails is the job
ended. Without a card the same step runs as it is, not captured, which is how the tests know it.
"""

import contextlib
import functools
import logging
from collections import OrderedDict
from collections.abc import Iterator

import torch

from ..errors import InputError, first_line
from . import generation, packing, reading

log = logging.getLogger(__name__)
ROWS, COLUMNS = 16, 128  # multiples to which rows and columns are rounded up
SHAPES = 4  # as many are kept, those used last: each holds keys and values of its own
IN_BF16 = 0.1  # share of the outputs' standard deviation that differences may have; in fp32 reading.SAME holds for each of them


def enable(model) -> None:
    """Have `generation.decode` use graphs of this model. One that reads padded rows decodes by the library, and the log says so."""
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
        the capture fails, after which CUDA's random numbers cannot be drawn any more in this process.
        """
        if self.because or room == 1:
            return cache
        sizes = ((len(positions), ROWS), (cache.columns + room, COLUMNS))
        rows, columns = (-(-size // unit) * unit for size, unit in sizes)
        shape = (rows, columns, cache.layers[0][0].dtype, _autocast_dtype(positions.device))
        fixed = self.shapes.pop(shape, None)
        if not fixed:
            while len(self.shapes) >= SHAPES:
                self.shapes.popitem(last=False)
            fixed = self._made(model, cache, rows=rows, columns=columns, positions=positions, room=room)
        if self.because:
            log.warning("%s decodes without CUDA graphs: %s", type(model).__name__, self.because)
            self.release()
            return cache
        self.shapes[shape] = fixed
        fixed.take(cache, count=len(positions), room=room)
        return fixed

    def release(self) -> None:
        """Give back the memory of all shapes."""
        self.shapes.clear()

    def _made(self, model, cache: generation.Cache, *, rows: int, columns: int, positions: torch.Tensor, room: int) -> "Fixed | None":
        """A new shape, captured; `because` is set where it cannot be read, or gives other numbers than the cache's own step."""
        step = dict(model=model, tokens=torch.zeros_like(positions), positions=positions)
        try:
            fixed = Fixed(cache, rows=rows, columns=columns)
            fixed.take(cache, count=len(positions), room=room)
            if _can_capture(positions.device):
                fixed.capture(model)
                fixed.take(cache, count=len(positions), room=room)
            found, expected = fixed.advance(**step).clone(), cache.advance(**step)
        except InputError:
            raise
        except Exception as e:  # whatever an architecture raises, or memory that is not there
            self.because = first_line(e, 150)
            return None
        cache.columns -= 1  # the next token takes this one's place
        if different := unlike(found, expected, in_bf16=_autocast_dtype(positions.device) is not None):
            self.because = f"a step at a fixed shape has {different}"
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
        with _in_one_kernel():
            for wide, new in zip(self.layers[layer], (keys, values), strict=True):
                wide.index_copy_(2, self.column, new)
        return self.layers[layer]

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these: they are read on, and no more looked at."""
        self.rows = self.rows[rows]

    def advance(self, *, model, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits (rows, vocabulary) after one more token of each row, at these positions."""
        with _in_one_kernel():
            for buffer, new in ((self.tokens, tokens), (self.positions, positions)):
                buffer.index_copy_(0, self.rows, new[:, None])
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
        a block would be gone at the next replay. Raises InputError where it fails.
        """
        device = self.tokens.device
        casts = dict(dtype=_autocast_dtype(device), enabled=_autocast_dtype(device) is not None, cache_enabled=False)
        aside, graph = _aside(), torch.cuda.CUDAGraph()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.autocast(device.type, **casts), torch.cuda.stream(aside):
            self._step(model)
            try:
                with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):  # other threads, as of NCCL, go on
                    self._step(model)
            except Exception as e:  # whatever an architecture does that is not a kernel
                raise InputError(
                    f"cuda_graphs: {type(model).__name__} cannot be captured ({first_line(e, 120)}); set it to false, and run again"
                ) from e
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = graph


def unlike(found: torch.Tensor, expected: torch.Tensor, *, in_bf16: bool) -> str | None:
    """How far apart the logits (rows, vocabulary) of two ways to read are, where they are; in bf16 as a whole, as one of them may be off by a rounding."""
    if not in_bf16 or not torch.isfinite(expected).all():
        return reading.unlike(found, expected)
    off, spread = (found.float() - expected.float()).std().item(), expected.float().std(dim=-1).mean().item()
    return None if off <= IN_BF16 * spread else f"outputs off by {off:.2g}, of a standard deviation of {spread:.2g}"


@functools.cache
def _aside() -> torch.cuda.Stream:
    """The stream on which all graphs are captured: each stream has a workspace of cuBLAS for good."""
    return torch.cuda.Stream()


def _can_capture(device: torch.device) -> bool:
    return device.type == "cuda"


def _autocast_dtype(device: torch.device) -> torch.dtype | None:
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


@contextlib.contextmanager
def _in_one_kernel() -> Iterator[None]:
    """Writes to places that differ from each other, which are the same bits without the sorting that makes others deterministic."""
    before, warn_only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
