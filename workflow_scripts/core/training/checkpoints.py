"""Checkpoints inside a training stage: a job that was killed goes on from the last one, to the result it would have had.

The library's Trainer writes `checkpoint-N`: weights, optimizer, schedule, random states, log. Once all of it is there it is renamed
to `step-N`, and only then is the one before removed; so a kill at any moment leaves a whole one, and `checkpoint-*` is never read.

No pickle is loaded. transformers 5.23 reads the weights as safetensors, trainer_state.json as JSON, and optimizer.pt, scheduler.pt
and rng_state.pth by torch.load(weights_only=True); it writes training_args.bin, a pickle, and never reads it. A test holds it to that.
"""

import json
import logging
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import Trainer, TrainerCallback, TrainerState
from transformers.trainer_pt_utils import safe_globals

from ..errors import first_line

log = logging.getLogger(__name__)

SUMS_FILE = "sums.json"
SUMS = ("_total_loss_scalar", "_globalstep_last_logged", "_total_train_tokens")  # the trainer's, besides _tr_loss and _metrics


@dataclass(frozen=True)
class Checkpoints:
    """Where a stage keeps its checkpoint, and how often it makes one.

    `folder` belongs to one job alone, survives it, and is removed by whoever named it. `percent` of the stage's optimizer steps lie
    between two checkpoints. No folder, or 0 percent: none are made.
    """

    folder: str | None
    percent: int

    def __bool__(self) -> bool:
        """Whether any are made."""
        return self.folder is not None and self.percent > 0

    def attach(self, trainer: Trainer) -> dict[str, str]:
        """Make `trainer` save and, where there is a checkpoint, go on from it: returns the keyword arguments of its `train`."""
        last = self.last()
        trainer.add_callback(Keeper(trainer, self, last))
        return {} if last is None else {"resume_from_checkpoint": str(last)}

    def last(self) -> Path | None:
        """The newest whole checkpoint; half-written and unreadable ones are removed."""
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


class Keeper(TrainerCallback):
    """Saves at the interval, publishes what was saved, and restores what the trainer forgets."""

    def __init__(self, trainer: Trainer, checkpoints: Checkpoints, last: Path | None):
        self.trainer, self.checkpoints, self.last = trainer, checkpoints, last

    def on_train_begin(self, args, state, control, **_):
        """Go on with the sums of the checkpoint."""
        if self.last is not None:
            log.info("going on from step %d of %d", state.global_step, state.max_steps)
            restore_sums(self.trainer, json.loads((self.last / SUMS_FILE).read_text(encoding="utf-8")))

    def on_step_end(self, args, state, control, **_):
        """Ask for a checkpoint every `percent` of the steps.

        None at the last step: the stage's own output follows at once, and the library, resuming there in a fraction of an epoch,
        would make a step too many.
        """
        every = math.ceil(state.max_steps * self.checkpoints.percent / 100)
        control.should_save = state.global_step % every == 0 and state.global_step < state.max_steps

    def on_save(self, args, state, control, **_):
        """Give the checkpoint its final name, and only then remove the one before."""
        written = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (written / SUMS_FILE).write_text(json.dumps(sums(self.trainer)), encoding="utf-8")
        whole = written.replace(written.with_name(f"step-{state.global_step}"))
        for older in whole.parent.glob("step-*"):
            if older != whole:
                shutil.rmtree(older)


def sums(trainer: Trainer) -> dict:
    """What the trainer has added up since its last log row and since its start, and does not save.

    Without these the first log row after a resume would average over its last steps alone, and the final train_loss over the
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


def check(path: Path) -> None:
    """Open every file that resuming reads, as it does; raises whatever is wrong with one.

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


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))
