"""Checkpoints inside a training stage: a killed job resumes from the last one, to the result that it would have had.

A checkpoint is written as `checkpoint-N`, renamed to `step-N` once it is whole, and only then is the one before removed; so a kill at
any moment leaves a whole one, and `checkpoint-*` is never read. Methods with rollouts write one safetensors file; what the library's Trainer
writes is in trainer_checkpoints.py, beside its import, which takes a second that most jobs need not wait.
"""

import contextlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from .. import workers
from ..errors import first_line

log = logging.getLogger(__name__)

STATE_FILE = "state.safetensors"
T = TypeVar("T")


@dataclass(frozen=True)
class Checkpoints:
    """Where a stage keeps its checkpoint, and how often it makes one.

    `folder` belongs to one job, survives it, and is removed by its caller. `percent` of the stage's optimizer steps (or rollouts) lie
    between two checkpoints. No folder, or 0 percent: none are made. `of_shares`: each worker keeps what it holds in a folder of its own;
    else the first keeps all.
    """

    folder: str | None
    percent: int
    of_shares: bool = False

    def __bool__(self) -> bool:
        """Whether any are made."""
        return self.folder is not None and self.percent > 0

    def last(self, check: Callable[[Path], None]) -> Path | None:
        """The newest whole checkpoint, of shares the newest that all workers have; others, half-written ones and those that `check` raises at, are removed."""
        if not self.of_shares:
            return workers.by_first(lambda: next(iter(self._whole(check)), None))
        mine = {_step(path): path for path in self._whole(check)}
        newest = max(set.intersection(*map(set, workers.gathered([*mine]))), default=None)
        for step in mine.keys() - {newest}:
            shutil.rmtree(mine[step])
        return mine.get(newest)

    def _whole(self, check: Callable[[Path], None]) -> list[Path]:
        """Newest first; there are two where a kill came between making one and removing the one before."""
        for half in Path(self.folder).glob("checkpoint-*"):
            log.info("%s is half-written; it is removed", half)
            shutil.rmtree(half)
        return [path for path in sorted(Path(self.folder).glob("step-*"), key=_step, reverse=True) if _is_sound(path, check)]

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives (JSON), in every worker; after a kill what it gave then, which on a card it may not give again."""
        if not self:
            return make()
        file = Path(self.folder) / name
        if (found := workers.by_first(lambda: _read(file))) is None:
            found = make()
            if workers.is_first():
                file.parent.mkdir(parents=True, exist_ok=True)
                half = file.with_suffix(".half")
                half.write_text(json.dumps(found), encoding="utf-8")
                half.replace(file)
        return found

    def due(self, *, step: int, steps: int) -> bool:
        """Whether one is made after `step` of `steps`.

        None after the last: the stage's own output follows at once, and the library, resuming there in a fraction of an epoch,
        would make a step too many. Of several workers the first makes it, or each its own.
        """
        return (self.of_shares or workers.is_first()) and step % math.ceil(steps * self.percent / 100) == 0 and step < steps

    @contextlib.contextmanager
    def writing(self, *, step: int) -> Iterator[Path]:
        """Gives the folder to write one into, and publishes it when the block ends."""
        path = Path(self.folder) / f"checkpoint-{step}"
        path.mkdir(parents=True, exist_ok=True)
        yield path
        whole = path.replace(path.with_name(f"step-{step}"))
        if self.of_shares:
            workers.gathered(step)  # all have theirs before any removes the one before
        _remove_others(whole)


def of_job(job, *, shares: bool) -> Checkpoints:
    """The checkpoints of a job, or of this worker's `shares` of its models."""
    folder = job.checkpoint_folder
    return Checkpoints(f"{folder}/worker-{workers.rank()}" if shares and folder else folder, job.checkpoint_percent, of_shares=shares)


def _read(file: Path):
    """What is kept in a JSON file; None where there is none, or it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_sound(path: Path, check: Callable[[Path], None]) -> bool:
    try:
        check(path)
    except Exception as e:  # whatever is wrong with it, training without it is right
        log.warning("checkpoint %s cannot be loaded (%s); it is removed, and training starts without it", path, first_line(e, 160))
        shutil.rmtree(path)
        return False
    return True


def _remove_others(whole: Path) -> None:
    for older in whole.parent.glob("step-*"):
        if older != whole:
            shutil.rmtree(older)


Parameters = dict[str, torch.nn.Parameter]


def save_state(folder: Path, *, parameters: Parameters, optimizer: torch.optim.Optimizer, record: dict) -> None:
    """Write parameters, what the optimizer keeps of each, and the `record` (as JSON) to one file."""
    kept = {f"{name}/{key}": x for name, p in parameters.items() for key, x in optimizer.state.get(p, {}).items()}
    tensors = {name: x.detach().contiguous() for name, x in {**parameters, **kept}.items()}
    save_file(tensors, folder / STATE_FILE, metadata={"record": json.dumps(record)})


def load_state(folder: Path, *, parameters: Parameters, optimizer: torch.optim.Optimizer) -> dict:
    """Put back what `save_state` wrote, in place, and return the record."""
    with safe_open(folder / STATE_FILE, framework="pt") as saved, torch.no_grad():
        for key in saved.keys():  # noqa: SIM118  it is no mapping
            name, _, kept = key.partition("/")
            if kept:
                optimizer.state[parameters[name]][kept] = saved.get_tensor(key).to(parameters[name].device)
            else:
                parameters[name].copy_(saved.get_tensor(key))
        return json.loads(saved.metadata()["record"])


def check_state(path: Path) -> None:
    """Open what `save_state` wrote; raises whatever is wrong with it."""
    with safe_open(path / STATE_FILE, framework="pt") as saved:  # compares the length of the file with its header
        json.loads(saved.metadata()["record"])


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))
