"""What every stage but PPO shares: its settings, and the training loop, which is the library's Trainer on packed rows."""

import logging
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from ..progress import track
from .checkpoints import Checkpoints

log = logging.getLogger(__name__)
TIMING = ("runtime", "per_second", "total_flos")  # of the library's log: true of one machine, and not of the result


@dataclass(frozen=True, kw_only=True)
class Stage:
    """How a stage other than PPO trains: what its entry in the config says, and what its job adds."""

    seed: int
    device: str
    desc: str
    epochs: float
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_ratio: float
    checkpoints: Checkpoints | None = None

    def arguments(self) -> TrainingArguments:
        """bf16 on CUDA and fp32 on the CPU; the folder that the library wants is that of the checkpoints, or a temporary one."""
        return TrainingArguments(
            output_dir=self.checkpoints.folder if self.checkpoints else tempfile.mkdtemp(prefix="canaryflow-"),
            seed=self.seed,
            data_seed=self.seed,
            num_train_epochs=self.epochs,
            per_device_train_batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup_steps=self.warmup_ratio,
            lr_scheduler_type="cosine",
            use_cpu=self.device == "cpu",
            bf16=self.device == "cuda",
            remove_unused_columns=False,
            dataloader_pin_memory=False,  # rows are lists
            save_strategy="no",  # checkpoints.Keeper asks for them
            logging_steps=10,
            disable_tqdm=True,
            report_to=[],
        )


class PackedTrainer(Trainer):
    """The library's loop, optimizer, schedule and checkpoints, with a loss that gets a batch's rows as they are.

    `loss(model, rows)` gives (loss, metrics); metrics are averaged over the steps between two rows of the log.
    """

    def __init__(self, *, loss: Callable, rows: list[dict], **options):
        super().__init__(train_dataset=rows, data_collator=lambda batch: {"rows": batch}, **options)
        self.loss = loss
        self._metrics = {"train": defaultdict(list)}

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The stage's loss of one batch."""
        with self.accelerator.autocast():
            loss, metrics = self.loss(model, inputs["rows"])
        for name, value in metrics.items():
            self._metrics["train"][name].append(value.item())
        return loss

    def log(self, logs, *arguments, **more):
        """Add the metrics to what the library logs."""
        means = {name: sum(values) / len(values) for name, values in self._metrics["train"].items()}
        self._metrics["train"].clear()
        super().log({**logs, **means}, *arguments, **more)

    def floating_point_ops(self, inputs) -> int:
        """Not estimated: nobody reads it, and the library's estimate wants padded rows."""
        return 0


class Progress(TrainerCallback):
    """One bar per training job on stderr, metrics to the log."""

    def __init__(self, desc: str):
        self.desc, self.bar = desc, None

    def on_train_begin(self, args, state, control, **_):
        """Open the bar, at the step that training goes on from."""
        self.bar = track(desc=self.desc, unit="step", total=state.max_steps)
        self.bar.n = self.bar.initial = state.global_step

    def on_step_end(self, args, state, control, **_):
        """Move the bar by the steps made since the last call."""
        self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args, state, control, logs=None, **_):
        """Show the loss beside the bar."""
        log.info("step %d: %s", state.global_step, logs)
        if self.bar is not None and "loss" in (logs or {}):
            self.bar.set_postfix(loss=f"{float(logs['loss']):.3g}", refresh=False)

    def on_train_end(self, args, state, control, **_):
        """Close the bar."""
        self.bar.close()


def fit(*, model, rows: list[dict], loss: Callable, stage: Stage) -> dict:
    """Train `model` in place, and return {steps, history}: the log of losses and metrics, without its timings.

    With `stage.checkpoints`, save them on the way and go on from the last; the record is that of an undisturbed run.
    """
    trainer = PackedTrainer(model=model, rows=rows, loss=loss, args=stage.arguments())
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Progress(stage.desc))
    trainer.train(**(stage.checkpoints.attach(trainer) if stage.checkpoints else {}))
    if not stage.checkpoints:
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
    history = [{k: float(v) for k, v in row.items() if not any(t in k for t in TIMING)} for row in trainer.state.log_history]
    return {"steps": trainer.state.global_step, "history": history}
