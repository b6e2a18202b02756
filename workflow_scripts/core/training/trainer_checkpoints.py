"""Checkpoints of the library's Trainer: it writes weights, optimizer, schedule, random states and log; here is what it forgets.

No pickle is loaded. transformers 5.23 reads the weights as safetensors, trainer_state.json as JSON, and optimizer.pt, scheduler.pt
and rng_state.pth by torch.load(weights_only=True); it writes training_args.bin, a pickle, and never reads it. A test checks this.
"""

import json
import logging
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainerCallback, TrainerState
from transformers.trainer_pt_utils import safe_globals

from ..lm import sharding
from .checkpoints import Checkpoints

log = logging.getLogger(__name__)

SUMS_FILE, WEIGHTS = "sums.json", "model.safetensors"
SUMS = ("_total_loss_scalar", "_globalstep_last_logged")  # the trainer's, besides _tr_loss and _metrics


def attach(trainer: Trainer, checkpoints: Checkpoints, *, every: int = 1) -> dict[str, str]:
    """Make `trainer` save, between groups of `every` steps alone, and, where there is a checkpoint, resume from it: returns the keyword arguments of
    its `train`.
    """
    last = checkpoints.last(check_trainer)
    trainer.add_callback(Keeper(trainer, checkpoints, last, every))
    return {} if last is None else {"resume_from_checkpoint": str(last)}


class Keeper(TrainerCallback):
    """Saves at the interval, publishes what was saved, and restores what the trainer forgets."""

    def __init__(self, trainer: Trainer, checkpoints: Checkpoints, last: Path | None, every: int):
        self.trainer, self.checkpoints, self.last, self.every = trainer, checkpoints, last, every

    def on_train_begin(self, args, state, control, **_):
        """Restore the sums of the checkpoint."""
        if self.last is not None:
            log.info("resuming from step %d of %d", state.global_step, state.max_steps)
            restore_sums(self.trainer, json.loads((self.last / SUMS_FILE).read_text(encoding="utf-8")))

    def on_step_end(self, args, state, control, **_):
        """Ask for a checkpoint where one is due."""
        done, rest = divmod(state.global_step, self.every)
        control.should_save = rest == 0 and self.checkpoints.due(step=done, steps=state.max_steps // self.every)

    def on_save(self, args, state, control, **_):
        """Add the sums to what the trainer has saved, and publish it."""
        with self.checkpoints.writing(step=state.global_step) as folder:
            (folder / SUMS_FILE).write_text(json.dumps(sums(self.trainer)), encoding="utf-8")


def save_trained(model, folder) -> None:
    """Write what of a model is trained, as far as this worker holds it, instead of the library's whole model."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file(sharding.state(model), Path(folder) / WEIGHTS)


def load_trained(model, folder) -> None:
    """Put back what `save_trained` wrote; what is frozen stays as it came."""
    sharding.load_state(model, load_file(Path(folder) / WEIGHTS))


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
    for weights in sorted(path.glob("*.safetensors")) or [path / WEIGHTS]:
        with safe_open(weights, framework="pt"):  # compares the length of the file with its header
            pass
    with safe_globals():
        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
            torch.load(path / name, map_location="cpu", weights_only=True)
    TrainerState.load_from_json(str(path / "trainer_state.json"))
    json.loads((path / SUMS_FILE).read_text(encoding="utf-8"))
