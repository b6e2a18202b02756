"""The training loop of every method that trains by epochs over fixed rows: the library's Trainer, on packed rows."""

import logging
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from .. import workers
from ..lm import sharding
from ..progress import track
from . import pieces
from .session import Session
from .trainer_checkpoints import attach, load_trained, save_trained

log = logging.getLogger(__name__)
TIMING = ("runtime", "per_second", "total_flos")  # in the library's log: they describe one machine, not the result


def fit(
    *,
    model,
    rows: list[dict],
    loss: Callable,
    session: Session,
    size: Callable[[list[dict]], int] = len,
    after: Callable[[], None] = lambda: None,
) -> dict:
    """Train `model` in place and return {steps, history}: the log of losses and metrics, without its timings.

    `loss(model, rows)` gives (loss, metrics), means over the rows, or over whatever `size(rows)` counts. `after()` is called once a batch has been
    read. The session's settings are a methods.Training. Checkpoints are saved on the way, and training resumes from the last; the record is that of
    an undisturbed run. Raises InputError where the loss is not finite.
    """
    trainer = PackedTrainer(model=model, rows=rows, loss=loss, size=size, after=after, session=session, args=_arguments(session))
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Progress(session.name))
    trainer.train(**(attach(trainer, session.checkpoints) if session.checkpoints else {}))
    if not session.checkpoints:
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
    history = [{k: float(v) for k, v in row.items() if not any(t in k for t in TIMING)} for row in trainer.state.log_history]
    return {"steps": trainer.state.global_step, "history": history}


def _arguments(session: Session) -> TrainingArguments:
    """The library's arguments; its folder is that of the checkpoints, or a temporary one. The precision is Session.autocast's."""
    settings = session.settings
    arguments = TrainingArguments(
        output_dir=session.checkpoints.folder if session.checkpoints else tempfile.mkdtemp(prefix="canaryflow-"),
        seed=session.seed,
        data_seed=session.seed,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_ratio,
        lr_scheduler_type="cosine",
        use_cpu=session.device == "cpu",
        remove_unused_columns=False,
        dataloader_pin_memory=False,  # rows are lists
        save_strategy="no",  # trainer_checkpoints.Keeper asks for them
        logging_steps=10,
        disable_tqdm=True,
        report_to=[],
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # else the library spreads a batch over all GPUs, and packed rows cannot be spread
    return arguments


class PackedTrainer(Trainer):
    """The library's loop, optimizer, schedule and checkpoints, with a loss that gets a batch's rows as they are.

    `loss(model, rows)` gives (loss, metrics), means over `size(rows)`; metrics are averaged over the steps between two rows of the log.
    """

    def __init__(self, *, loss: Callable, size: Callable, after: Callable, rows: list[dict], session: Session, **options):
        super().__init__(train_dataset=rows, data_collator=lambda batch: {"rows": batch}, **options)
        self.loss, self.size, self.after, self.session = loss, size, after, session
        self._metrics = {"train": defaultdict(list)}

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Forward and backward pass of one batch, piece by piece, of all workers together; returns its loss."""
        model.train()
        self.optimizer.zero_grad()  # of shares, too, which the library does not know
        rows, found = inputs["rows"], defaultdict(float)
        for piece, counts in pieces.own(pieces.of_rows(rows, self.session.settings.micro_batch_tokens)):
            share = counts * self.size(piece) / self.size(rows)
            with self.session.autocast():
                loss, metrics = self.loss(model, piece)
            if not torch.isfinite(loss):
                raise self.session.diverged(f"the loss is {loss.item()} at step {self.state.global_step + 1}")
            self.accelerator.backward(loss * share)
            for name, value in {"": loss, **metrics}.items():
                found[name] += value.detach() * share
        workers.sum_gradients(self._learnt())
        self.after()
        found = workers.summed(found)
        total = found.pop("")
        for name, value in found.items():
            self._metrics["train"][name].append(value.item())
        return total

    def create_optimizer(self, model=None):
        """The library's optimizer, of what this worker holds."""
        optimizer = super().create_optimizer(model)
        for group in optimizer.param_groups:
            group["params"] = [*map(sharding.own, group["params"])]
        return optimizer

    def _learnt(self) -> list[torch.nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _clip_grad_norm(self, model):
        """The norm of the gradients before they are clipped, over all workers' shares."""
        if self.session.fsdp:
            return sharding.clip_gradients(self._learnt(), self.args.max_grad_norm)
        return super()._clip_grad_norm(model)

    def _save(self, output_dir=None, state_dict=None):
        """A checkpoint: with LoRA, what is trained alone; with FSDP, this worker's share."""
        if self.session.lora or self.session.fsdp:
            save_trained(self.model, output_dir)
        else:
            super()._save(output_dir, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        """Put back what `_save` wrote."""
        if self.session.lora or self.session.fsdp:
            load_trained(self.model, resume_from_checkpoint)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def log(self, logs, *arguments, **more):
        """Add the metrics to what the library logs."""
        means = {name: sum(values) / len(values) for name, values in self._metrics["train"].items()}
        self._metrics["train"].clear()
        super().log({**logs, **means}, *arguments, **more)

    def floating_point_ops(self, inputs) -> int:
        """Not estimated: nobody reads it, and the library's estimate expects padded rows."""
        return 0


class Progress(TrainerCallback):
    """One bar per training job on stderr, metrics to the log."""

    def __init__(self, name: str | None):
        self.name, self.bar = name, None

    def on_train_begin(self, args, state, control, **_):
        """Open the bar, at the step from which training resumes."""
        self.bar = track(desc=self.name, unit="step", total=state.max_steps)
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
