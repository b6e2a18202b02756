"""What every trainer shares: a stage's settings, arguments, progress, batching, and the record of a training run."""

import logging
import math
import shutil
import tempfile
from dataclasses import dataclass

from datasets import Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback

from ..progress import track
from .checkpoints import Checkpoints

log = logging.getLogger(__name__)


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
    warmup_share: float
    checkpoints: Checkpoints | None = None

    def arguments(self, *, micro: bool = False, **more) -> dict:
        """Keyword arguments of the stage's TRL config; `micro` splits batches on the CPU (see micro_batches)."""
        batch = micro_batches(batch_size=self.batch_size, device=self.device) if micro else dict(batch_size=self.batch_size)
        return common_arguments(
            seed=self.seed,
            device=self.device,
            learning_rate=self.learning_rate,
            num_train_epochs=self.epochs,
            weight_decay=self.weight_decay,
            warmup_steps=self.warmup_share,
            max_length=None,
            checkpoints=self.checkpoints,
            **batch,
            **more,
        )


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
        """Show loss or reward beside the bar."""
        log.info("step %d: %s", state.global_step, logs)
        shown = {k: logs[k] for k in ("loss", "objective/scores", "objective/kl") if k in (logs or {})}
        if self.bar is not None and shown:
            self.bar.set_postfix({k.split("/")[-1]: f"{float(v):.3g}" for k, v in shown.items()}, refresh=False)

    def on_train_end(self, args, state, control, **_):
        """Close the bar."""
        self.bar.close()


def micro_batches(*, batch_size: int, device: str, rows: int = 4) -> dict:
    """Arguments that split a batch into forward passes of at most `rows` rows on the CPU, with the same loss and steps.

    Pairs differ much in length, and on the CPU every padding token costs: 1.6 times the pairs per second for IPO, 1.3 for the
    reward model. A GPU is faster with the whole batch.
    """
    micro = math.gcd(batch_size, rows) if device == "cpu" else batch_size
    return dict(batch_size=micro, gradient_accumulation_steps=batch_size // micro)


def common_arguments(
    *, seed: int, device: str, learning_rate: float, batch_size: int, checkpoints: Checkpoints | None = None, **more
) -> dict:
    """Keyword arguments that all TRL configs here share: bf16 on CUDA, fp32 on the CPU, no reporting.

    The libraries want a folder, which is that of `checkpoints` or else a temporary one.
    """
    return dict(
        output_dir=checkpoints.folder if checkpoints else tempfile.mkdtemp(prefix="canaryflow-"),
        seed=seed,
        data_seed=seed,
        learning_rate=learning_rate,
        per_device_train_batch_size=batch_size,
        use_cpu=device == "cpu",
        bf16=device == "cuda",
        report_to=[],
        save_strategy="no",  # checkpoints.Keeper asks for them
        logging_steps=10,
        disable_tqdm=True,
        lr_scheduler_type="cosine",
        dataloader_pin_memory=device == "cuda",
        gradient_checkpointing=False,
        **more,
    )


def fit(trainer: Trainer, desc: str, checkpoints: Checkpoints | None = None) -> dict:
    """Train, and return {steps, history}: the trainer's own log of losses and rewards, without its timings.

    With `checkpoints`, save them on the way and go on from the last; the record is that of an undisturbed run.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Progress(desc))
    trainer.train(**(checkpoints.attach(trainer) if checkpoints else {}))
    if not checkpoints:
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
    timing = ("runtime", "per_second", "eps", "total_flos")
    history = [{k: float(v) for k, v in row.items() if not any(t in k for t in timing)} for row in trainer.state.log_history]
    return {"steps": trainer.state.global_step, "history": history}


def as_dataset(rows: list[dict]) -> Dataset:
    """In-memory dataset of token id columns, in the order given."""
    return Dataset.from_list(rows)
