"""What every training job opens and closes: settings, seed, device, FIM ids, checkpoints, and the saved model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from .. import parquet, workers
from ..data.fim import Fim
from ..data.schemas import EXAMPLES
from ..data.tokenizer import load_fim
from ..errors import InputError
from ..lm import captured, lora, models, recomputing, runtime, sharding
from ..methods import Lora, pick
from . import checkpoints
from .checkpoints import Checkpoints
from .schemas import PREFERENCES


@dataclass(frozen=True, kw_only=True)
class Session:
    """One training job. `settings` is the dataclass of its method or reward type (core/methods.py).

    `name` stands on progress bars (None: no bars) and `section` names the settings in messages. `about` goes into meta.json. `precision` is
    that of a job without settings of its own. `cuda_graphs`: a policy decodes by them, unless workers have divided it.
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
    precision: str = "fp32"
    cuda_graphs: bool = False

    @property
    def in_bf16(self) -> bool:
        """Whether matrix products are in bf16; by `auto` they are on CUDA."""
        precision = getattr(self.settings, "precision", self.precision)
        return precision == "bf16" or (precision == "auto" and self.device == "cuda")

    @property
    def lora(self) -> Lora | None:
        """The additions that are trained, if it is they that are."""
        return getattr(self.settings, "lora", None)

    @property
    def fsdp(self) -> bool:
        """Whether workers divide the models that are trained."""
        return getattr(self.settings, "fsdp", False)

    def autocast(self) -> torch.autocast:
        """The precision in which every model is read, trained or not. Casts are kept for the block, but of layers that are whole for a moment."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.in_bf16, cache_enabled=not self.fsdp)

    def load_policy(self, path):
        """A causal LM checkpoint on the device, ready to be trained (`prepared`), or to be read by a job that trains nothing."""
        load = lambda: models.load_policy(path, device=self.device)  # noqa: E731
        model = self.only_read(load()) if self.settings is None else self.prepared(load)
        if self.cuda_graphs and not self.fsdp:
            captured.enable(model)
        return model

    def load_reference(self, policy, path):
        """What a policy, loaded from `path`, is before training: itself, its additions switched off by whoever reads it, or a copy without any."""
        return policy if self.lora else self.only_read(models.load_policy(path, device=self.device))

    def load_reward_model(self, path):
        """A sequence classifier with one score, ready to be trained; from a policy's checkpoint its head is fresh."""
        return self.prepared(lambda: models.load_reward_model(path, fim=self.fim, device=self.device))

    def load_judge(self, path):
        """A reward model that is only read."""
        model = models.load_reward_model(path, fim=self.fim, device=self.device).eval()
        if self.settings is None:
            return self.only_read(model)
        # without additions in fp32: a value model may be its copy
        return lora.shrunk(model.requires_grad_(False), lora=self.lora, bf16=self.in_bf16) if self.lora else model

    def only_read(self, model):
        """A model that is not trained, and takes as little memory as its numbers allow."""
        return lora.halved(model.requires_grad_(False)) if self.in_bf16 else model

    def prepared(self, load: Callable[[], torch.nn.Module]):
        """The model that `load` gives, in fp32, as the settings want it trained: with additions, with gradient checkpointing, shared out."""
        model = load()
        if self.lora:
            lora.adapted(model, lora=self.lora, bf16=self.in_bf16, section=self.section).original = load
        if getattr(self.settings, "gradient_checkpointing", False):
            recomputing.enable(model, self.section)
        if self.fsdp:
            sharding.sharded(model, self.section).original = load
        return model

    def check_finite(self, model) -> None:
        """Raise InputError where training has left a weight or an output that is NaN or infinite."""
        with self.autocast():
            broken = models.not_finite(model)
        if broken:
            raise self.diverged(f"training leaves {broken} not finite")

    def diverged(self, what: str) -> InputError:
        """The error of a training that has come to what is not finite."""
        return InputError(
            f"{self.section}.learning_rate: at {self.settings.learning_rate:g} {what}; "
            "lower it, or check the weights that training starts from"
        )

    def save(self, model, path, record: dict) -> None:
        """Write a checkpoint that describes itself: additions merged (lora.merged), shares put together. Raises InputError as `check_finite` does."""
        if lora.additions(model):
            record = {**record, "trained": sum(p.numel() for p in sharding.trained(model).values())}
            model = lora.merged(model, model.original)
        self.check_finite(model)
        if sharding.is_sharded(model):
            model = sharding.whole(model, model.original)
        workers.leave_to_first()
        models.save(model=model, tokenizer_path=self.tokenizer, path=path, meta={**self.about, **record})


def read_examples(path) -> list[dict]:
    """The rows of a training set."""
    return parquet.read_rows(path, EXAMPLES)


def read_pairs(path) -> list[dict]:
    """The preference pairs of an arm."""
    return parquet.read_rows(path, PREFERENCES)


def start_without_training(job, *, threads: int, precision: str = "fp32") -> Session:
    """Open the session of a job that only samples, probes or scores, in this precision."""
    seed = int(job.wildcards["seed"])
    workers.start(job.workers, checkpoints=None, gpu=bool(job.gpu))
    device = runtime.start(seed=seed, threads=threads, gpu=job.gpu, name=job.name)
    fim, _ = load_fim(job.input.tokenizer)
    about = dict(name=job.name, fim=fim, tokenizer=job.input.tokenizer, precision=precision, cuda_graphs=job.cuda_graphs)
    return Session(settings=None, seed=seed, device=device, **about)


def start(job, settings: type) -> Session:
    """Open the session of a job whose rule declares the settings of one policy or reward model.

    Seeds everything and fixes the thread count; a reward model's own seed is added to the run's.
    """
    of_policy = "policy" in job.wildcards
    name = job.wildcards["policy" if of_policy else "reward"]
    section = f"policies.{name}" if of_policy else f"reward_models.{name}"
    entry, seed = job.config[section], int(job.wildcards["seed"])
    chosen, own_seed = pick(settings, entry), seed + entry.get("seed", 0)
    workers.start(getattr(chosen, "workers", 1), checkpoints=job.checkpoint_folder, gpu=bool(job.gpu))
    device = runtime.start(seed=own_seed, threads=chosen.threads, gpu=job.gpu, name=job.name)
    return Session(
        settings=chosen,
        seed=own_seed,
        device=device,
        name=job.name if workers.is_first() else None,
        section=section,
        fim=load_fim(job.input.tokenizer)[0],
        checkpoints=checkpoints.of_job(job, shares=getattr(chosen, "fsdp", False)),
        tokenizer=job.input.tokenizer,
        about=dict(policy=name, parent=entry.get("parent"), settings=entry, arm=job.wildcards.get("arm"), seed=seed),
        cuda_graphs=job.cuda_graphs,
    )
