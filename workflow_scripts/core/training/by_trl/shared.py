"""What every adapter shares: our settings as TRL's arguments, our errors, checkpoints and log.

TRL gets rows of token ids, pads them, and reads them with the library's own attention. Whatever else may change a result is set here or in
the adapter, so that no default of TRL's decides: nothing is cut to a length, repeated or whitened but as the settings say.
"""

import functools
import shutil
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import version

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from ...data.tokenizer import load
from ...lm import packing
from ..session import Session
from ..trainer import TIMING, Progress, _arguments
from ..trainer_checkpoints import attach, load_trained, save_trained

# of the library's log, beside TIMING: times, and counts that start again where a killed training resumes
UNTOLD = {"eps", "step_time", "num_tokens", "val/ratio_var"}


class OurWay:
    """A trainer of TRL's, before which this stands among the bases, that ends as ours do and tells nobody of it."""

    def __init__(self, *arguments, session: Session, **options):
        self.session = session
        super().__init__(*arguments, **options)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """TRL's loss. Raises InputError where it is not finite."""
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss = found[0] if return_outputs else found
        if not torch.isfinite(loss):
            raise self.session.diverged(f"the loss is {loss.item()} at step {self.state.global_step + 1}")
        return found

    def _save(self, output_dir=None, state_dict=None):
        """A checkpoint: with LoRA, what is trained alone."""
        if self.session.lora:
            save_trained(self.model, output_dir)
        else:
            super()._save(output_dir, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        """Put back what `_save` wrote."""
        if self.session.lora:
            load_trained(self.model, resume_from_checkpoint)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _send_telemetry(self) -> None:
        """Nothing leaves the machine."""

    def create_model_card(self, *_, **__) -> None:
        """None: a checkpoint of ours describes itself."""


def arguments(config: type[TrainingArguments], session: Session, **own) -> TrainingArguments:
    """TRL's arguments of a method that trains by epochs: those of our own loop, and what the method has of its `own`."""
    ours = _arguments(session)
    made = config(**{field.name: getattr(ours, field.name) for field in fields(TrainingArguments) if field.init} | own)
    made._n_gpu = ours._n_gpu
    return made


def tokenizer(session: Session):
    """The run's tokenizer with the end and the padding of its FIM ids, which TRL asks it for."""
    words = load(session.tokenizer)[0]
    words.eos_token, words.pad_token = words.convert_ids_to_tokens([session.fim.end, session.fim.pad])
    return words


def reading_padded(model):
    """The model, set to the library's attention, as packed rows are not TRL's; TRL takes logarithms of its logits, which on a CPU are lifted to fp32."""
    if packing.takes(model):
        model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
    model.register_forward_hook(_in_fp32)
    return model


def _in_fp32(_model, _inputs, output):
    """As autocast does for logarithms on a card, and not on a CPU."""
    logits = getattr(output, "logits", None)
    if logits is not None and logits.device.type == "cpu" and logits.dtype == torch.bfloat16:
        output.logits = logits.float()
    return output


def trained(make: Callable[[], Trainer], session: Session, *, resumes: bool = True, every: int = 1) -> Trainer:
    """The trainer that `make` gives, after its training: where it `resumes`, from the session's last checkpoint, saving on the way, between
    groups of `every` steps.

    All of it is read in the session's precision. The casts of weights are not kept, as they would be for the whole of the block.
    """
    with torch.autocast(session.device, torch.bfloat16, enabled=session.in_bf16, cache_enabled=False):
        trainer = make()
        trainer.accelerator.backward = _outside_autocast(trainer.accelerator.backward, session)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Progress(session.name))
        trainer.train(**(attach(trainer, session.checkpoints, every=every) if resumes and session.checkpoints else {}))
    if not (resumes and session.checkpoints):
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
    return trainer


def _outside_autocast(backward: Callable, session: Session) -> Callable:
    """A backward pass computes each gradient in the precision of the forward pass by itself."""

    @functools.wraps(backward)
    def run(*arguments, **options):
        with torch.autocast(session.device, enabled=False):
            return backward(*arguments, **options)

    return run


def record(trainer: Trainer) -> dict:
    """{steps, history, trainer, trl}: the library's log without what describes one machine, and who trained."""
    told = lambda name, value: name not in UNTOLD and value is not None and not any(t in name for t in TIMING)  # noqa: E731
    history = [{k: float(v) for k, v in row.items() if told(k, v)} for row in trainer.state.log_history]
    return {"steps": trainer.state.global_step, "history": history, "trainer": "trl", "trl": version("trl")}
