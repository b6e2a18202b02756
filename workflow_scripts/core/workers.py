"""Several processes for one job: each reads its part of every batch, with the whole model or its share of it (lm/sharding.py), and what they find is added up.

A job whose settings ask for several `workers` starts them by torchrun's launcher, each of which runs the job's own script from its beginning; the job itself
waits, and then publishes what the first of them wrote. Wherever this module says nothing else, all of them compute the same from the same seed.
"""

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from .errors import InputError
from .freshness.snakemake_adapter import running_copy
from .worker import JOB, Finished, inside

_PATIENCE = timedelta(days=7)  # that workers wait for each other, as while the first one samples
T = TypeVar("T")


def size() -> int:
    """Number of workers of this job, 1 where it has none."""
    return _distributed().get_world_size() if inside() else 1


def rank() -> int:
    """Number of this worker, from 0."""
    return _distributed().get_rank() if inside() else 0


def is_first() -> bool:
    """Whether this process writes what all have computed, and speaks for them."""
    return rank() == 0


def leave_to_first() -> None:
    """End this worker, unless it is the first."""
    if not is_first():
        raise Finished


def start(count: int, *, checkpoints: str | None, gpu: bool) -> None:
    """Let `count` workers do this job, and raise Finished when they have; within one of them join the others, and with a count of 1 do nothing.

    Raises InputError with what a worker said, or with how it ended.
    """
    if inside():
        _join(gpu)
    elif count > 1:
        _launch(count, checkpoints, gpu=gpu)
        raise Finished


def _launch(count: int, checkpoints: str | None, *, gpu: bool) -> None:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory(prefix="canaryflow-workers-") as folder, _environment(checkpoints, folder):
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=Path(folder).name,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            virtual_local_rank=gpu,  # each sees its own card alone
            logs_specs=DefaultLogsSpecs(log_dir=f"{folder}/logs", redirects=Std.NONE),
        )
        logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what it says, _how_it_ended says in a sentence
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)}
        try:
            elastic_launch(config, sys.executable)(str(running_copy()), *sys.argv[1:])
        except ChildFailedError as e:
            raise InputError(_said(Path(folder)) or _how_it_ended(e)) from e
        except SignalException as e:
            raise KeyboardInterrupt(
                f"ended by {signal.Signals(e.sigval).name}; run snakemake again, what was finished before is kept"
            ) from e
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _environment(checkpoints: str | None, folder: str):
    os.environ[JOB] = json.dumps(dict(checkpoints=checkpoints, said=folder))
    try:
        yield
    finally:
        del os.environ[JOB]


def _said(folder: Path) -> str | None:
    """What the first worker that failed said, or any other."""
    return next((file.read_text(encoding="utf-8") for file in sorted(folder.glob("said-*"), key=lambda f: f.stat().st_mtime_ns)), None)


def _how_it_ended(error) -> str:
    number, failure = error.get_first_failure()
    how = signal.Signals(-failure.exitcode).name if failure.exitcode < 0 else f"exit status {failure.exitcode}"
    return f"worker {number + 1} ended by {how}; run snakemake again: training that keeps checkpoints goes on from its last one"


def _join(gpu: bool) -> None:
    """Meet the other workers. The variables of torchrun are taken out of the environment: a library that saw them would divide the work once more."""
    distributed = _distributed()
    if distributed.is_initialized():
        return
    _end_with_parent()
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=_PATIENCE)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        os.environ.pop(name, None)


def _end_with_parent() -> None:
    """Let the kernel end this process when the job is killed, on Linux."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)


def _distributed():
    import torch.distributed

    return torch.distributed


def by_first(compute: Callable[[], T], *, in_step: bool = False) -> T:
    """What the first worker computes, in all of them; `in_step`: all compute it, as a model that they share needs all of them to be read."""
    if size() == 1:
        return compute()
    box = [compute() if in_step or is_first() else None]
    _distributed().broadcast_object_list(box, src=0)
    return box[0]


def agreed(choose: Callable[..., Any]) -> Callable[..., Any]:
    """A choice of tokens that is the first worker's in all of them, each of which makes it."""

    def chosen(*arguments):
        tokens = choose(*arguments)
        _distributed().broadcast(tokens, src=0)
        return tokens

    return chosen


def gathered(value: T) -> list[T]:
    """The values of all workers, in their order, in all of them."""
    if size() == 1:
        return [value]
    values: list[Any] = [None] * size()
    _distributed().all_gather_object(values, value)
    return values


def merged(found: dict) -> dict:
    """One dict of the dicts of all workers, of which no two have the same key."""
    return {key: value for part in gathered(found) for key, value in part.items()}


def own(items: Sequence[T]) -> Sequence[T]:
    """This worker's part of the items: every so-many-th, in their order."""
    return items[rank() :: size()]


def divided(items: Iterable, compute: Callable[[Any], T], *, in_step: bool = False) -> list[T]:
    """`compute(item)` of every item, in their order, in all workers, each of which has computed every so-many-th.

    `in_step`: all compute equally often, as by_first has it; where none is left for a worker, it computes the last one, and nobody uses that.
    """
    count, mine, found, place, item = size(), rank(), {}, -1, None
    for place, item in enumerate(items):
        if place % count == mine:
            found[place] = compute(item)
    if in_step and place >= 0 and place % count < mine:
        compute(item)
    found = merged(found)
    return [found[place] for place in sorted(found)]


def summed(values: dict) -> dict:
    """{name: sum over the workers} of tensors of one number."""
    if size() == 1:
        return values
    import torch

    total = torch.stack([value.detach().double() for value in values.values()])
    _distributed().all_reduce(total)
    return dict(zip(values, total.float(), strict=True))


def sum_gradients(parameters) -> None:
    """Add up the gradients of all workers, in place; one that a worker has not is 0 there. Those of shares (sharding.own) are sums already."""
    if size() == 1:
        return
    import torch

    kept = []
    for p in parameters:
        if (of_all := getattr(p, "shared_out", None)) is not None:
            p.grad, of_all.grad = torch.zeros_like(p) if of_all.grad is None else of_all.grad.to_local(), None
        elif p.requires_grad:
            kept.append(p)
    for p in kept:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    for bucket in _buckets(kept):
        flat = torch.cat([p.grad.flatten() for p in bucket])
        _distributed().all_reduce(flat)
        for p, grad in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
            p.grad.copy_(grad.view_as(p))


def _buckets(parameters: list, most: int = 1 << 24) -> list[list]:
    """Parameters in their order, in groups of at most so many numbers."""
    made: list[list] = []
    held = 0
    for p in parameters:
        if not made or held + p.numel() > most or made[-1][0].dtype != p.dtype:
            made, held = [*made, []], 0
        made[-1].append(p)
        held += p.numel()
    return made
