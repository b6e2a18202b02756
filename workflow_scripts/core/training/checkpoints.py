"""Checkpoints inside a training stage: a killed job resumes from the last one, to the result that it would have had.

A checkpoint is written as `checkpoint-N`, renamed to `step-N` once it is whole, and only then is the one before removed; so a kill at
any moment leaves a whole one, and `checkpoint-*` is never read. The library's Trainer writes weights, optimizer, schedule, random
states and log; PPO and RLOO write one safetensors file.

No pickle is loaded. transformers 5.23 reads the weights as safetensors, trainer_state.json as JSON, and optimizer.pt, scheduler.pt
and rng_state.pth by torch.load(weights_only=True); it writes training_args.bin, a pickle, and never reads it. A test checks this.
"""

import contextlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import Trainer, TrainerCallback, TrainerState
from transformers.trainer_pt_utils import safe_globals

from ..errors import first_line

log = logging.getLogger(__name__)

STATE_FILE = "state.safetensors"
SUMS_FILE = "sums.json"
SUMS = ("_total_loss_scalar", "_globalstep_last_logged")  # the trainer's, besides _tr_loss and _metrics


@dataclass(frozen=True)
class Checkpoints:
    """Where a stage keeps its checkpoint, and how often it makes one.

    `folder` belongs to one job, survives it, and is removed by its caller. `percent` of the stage's optimizer steps (or rollouts) lie
    between two checkpoints. No folder, or 0 percent: none are made.
    """

    folder: str | None
    percent: int

    def __bool__(self) -> bool:
        """Whether any are made."""
        return self.folder is not None and self.percent > 0

    def attach(self, trainer: Trainer) -> dict[str, str]:
        """Make `trainer` save and, where there is a checkpoint, resume from it: returns the keyword arguments of its `train`."""
        last = self.last(check_trainer)
        trainer.add_callback(Keeper(trainer, self, last))
        return {} if last is None else {"resume_from_checkpoint": str(last)}

    def last(self, check: Callable[[Path], None]) -> Path | None:
        """The newest whole checkpoint; half-written ones and those that `check` raises at are removed."""
        for half in Path(self.folder).glob("checkpoint-*"):
            log.info("%s is half-written; it is removed", half)
            shutil.rmtree(half)
        for path in sorted(Path(self.folder).glob("step-*"), key=_step, reverse=True):
            try:
                check(path)
                return path
            except Exception as e:  # whatever is wrong with it, training without it is right
                log.warning("checkpoint %s cannot be loaded (%s); it is removed, and training starts without it", path, first_line(e, 160))
                shutil.rmtree(path)
        return None

    def due(self, *, step: int, steps: int) -> bool:
        """Whether one is made after `step` of `steps`.

        None after the last: the stage's own output follows at once, and the library, resuming there in a fraction of an epoch,
        would make a step too many.
        """
        return step % math.ceil(steps * self.percent / 100) == 0 and step < steps

    @contextlib.contextmanager
    def writing(self, *, step: int) -> Iterator[Path]:
        """Gives the folder to write one into, and publishes it when the block ends."""
        path = Path(self.folder) / f"checkpoint-{step}"
        path.mkdir(parents=True, exist_ok=True)
        yield path
        publish(path)


def publish(written: Path) -> None:
    """Give the checkpoint `checkpoint-N` its final name, and only then remove the one before."""
    whole = written.replace(written.with_name(written.name.replace("checkpoint", "step")))
    for older in whole.parent.glob("step-*"):
        if older != whole:
            shutil.rmtree(older)


class Keeper(TrainerCallback):
    """Saves at the interval, publishes what was saved, and restores what the trainer forgets."""

    def __init__(self, trainer: Trainer, checkpoints: Checkpoints, last: Path | None):
        self.trainer, self.checkpoints, self.last = trainer, checkpoints, last

    def on_train_begin(self, args, state, control, **_):
        """Restore the sums of the checkpoint."""
        if self.last is not None:
            log.info("resuming from step %d of %d", state.global_step, state.max_steps)
            restore_sums(self.trainer, json.loads((self.last / SUMS_FILE).read_text(encoding="utf-8")))

    def on_step_end(self, args, state, control, **_):
        """Ask for a checkpoint where one is due."""
        control.should_save = self.checkpoints.due(step=state.global_step, steps=state.max_steps)

    def on_save(self, args, state, control, **_):
        """Add the sums to what the trainer has saved, and publish it."""
        with self.checkpoints.writing(step=state.global_step) as folder:
            (folder / SUMS_FILE).write_text(json.dumps(sums(self.trainer)), encoding="utf-8")


def sums(trainer: Trainer) -> dict:
    """What the trainer has summed up since its last log row and since its start, and does not save.

    Without these the first log row after a resume would average only over its last steps, and the final train_loss over the
    steps since the resume.
    """
    return {**{name: getattr(trainer, name) for name in SUMS}, "_tr_loss": float(trainer._tr_loss), "_metrics": trainer._metrics["train"]}


def restore_sums(trainer: Trainer, saved: dict) -> None:
    """Put the `sums` of a checkpoint back, and let the record count from step 0."""
    for name in SUMS:
        setattr(trainer, name, saved[name])
    trainer._tr_loss += saved["_tr_loss"]  # in place: it lies on the device of the model
    trainer._metrics["train"].update(saved["_metrics"])
    trainer._initial_global_step = 0


def check_trainer(path: Path) -> None:
    """Open every file that resuming the trainer reads, as it does; raises whatever is wrong with one.

    Beforehand, because a load that fails halfway leaves the model half-changed.
    """
    for weights in sorted(path.glob("*.safetensors")) or [path / "model.safetensors"]:
        with safe_open(weights, framework="pt"):  # compares the length of the file with its header
            pass
    with safe_globals():
        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
            torch.load(path / name, map_location="cpu", weights_only=True)
    TrainerState.load_from_json(str(path / "trainer_state.json"))
    json.loads((path / SUMS_FILE).read_text(encoding="utf-8"))


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
