"""What every training job opens and closes: settings, seed, device, FIM ids, checkpoints, and the saved model."""

from dataclasses import dataclass, field
from typing import Any

import torch

from .. import parquet
from ..data.fim import Fim
from ..data.schemas import EXAMPLES
from ..data.tokenizer import load_fim
from ..errors import InputError
from ..methods import pick
from . import models, runtime
from .checkpoints import Checkpoints
from .schemas import PREFERENCES


@dataclass(frozen=True, kw_only=True)
class Session:
    """One training job. `settings` is the dataclass of its method or reward type (core/methods.py).

    `name` stands on progress bars (None: no bars) and `section` names the settings in messages. `about` goes into meta.json.
    """

    settings: Any
    seed: int
    device: str
    name: str | None = None
    section: str = "the settings"
    fim: Fim | None = None
    checkpoints: Checkpoints = Checkpoints(None, 0)
    tokenizer: str | None = None
    about: dict = field(default_factory=dict)

    def autocast(self) -> torch.autocast:
        """bf16 on CUDA, fp32 on the CPU."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda")

    def load_policy(self, path):
        """A causal LM checkpoint in fp32, on the device."""
        return models.load_policy(path, device=self.device)

    def load_reward_model(self, path):
        """A sequence classifier with one score; from a policy's checkpoint its head is fresh."""
        return models.load_reward_model(path, fim=self.fim, device=self.device)

    def check_finite(self, model) -> None:
        """Raise InputError where training has left a weight or an output that is NaN or infinite."""
        if broken := models.not_finite(model):
            raise self.diverged(f"training leaves {broken} not finite")

    def diverged(self, what: str) -> InputError:
        """The error of a training that has come to what is not finite."""
        return InputError(
            f"{self.section}.learning_rate: at {self.settings.learning_rate:g} {what}; "
            "lower it, or check the weights that training starts from"
        )

    def save(self, model, path, record: dict) -> None:
        """Write a checkpoint that describes itself. Raises InputError as `check_finite` does."""
        self.check_finite(model)
        models.save(model=model, tokenizer_path=self.tokenizer, path=path, meta={**self.about, **record})


def read_examples(path) -> list[dict]:
    """The rows of a training set."""
    return parquet.read_rows(path, EXAMPLES)


def read_pairs(path) -> list[dict]:
    """The preference pairs of an arm."""
    return parquet.read_rows(path, PREFERENCES)


def start_without_training(job, *, threads: int) -> Session:
    """Open the session of a job that only samples, probes or scores."""
    seed = int(job.wildcards["seed"])
    device = runtime.start(seed=seed, threads=threads, gpu=job.gpu, name=job.name)
    return Session(
        settings=None, seed=seed, device=device, name=job.name, fim=load_fim(job.input.tokenizer)[0], tokenizer=job.input.tokenizer
    )


def start(job, settings: type) -> Session:
    """Open the session of a job whose rule declares the settings of one policy or reward model.

    Seeds everything and fixes the thread count; a reward model's own seed is added to the run's.
    """
    of_policy = "policy" in job.wildcards
    name = job.wildcards["policy" if of_policy else "reward"]
    section = f"policies.{name}" if of_policy else f"reward_models.{name}"
    entry, seed = job.config[section], int(job.wildcards["seed"])
    chosen, own_seed = pick(settings, entry), seed + entry.get("seed", 0)
    device = runtime.start(seed=own_seed, threads=chosen.threads, gpu=job.gpu, name=job.name)
    return Session(
        settings=chosen,
        seed=own_seed,
        device=device,
        name=job.name,
        section=section,
        fim=load_fim(job.input.tokenizer)[0],
        checkpoints=Checkpoints(job.checkpoint_folder, job.checkpoint_percent),
        tokenizer=job.input.tokenizer,
        about=dict(policy=name, parent=entry.get("parent"), settings=entry, arm=job.wildcards.get("arm"), seed=seed),
    )
