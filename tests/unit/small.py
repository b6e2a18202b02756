"""What tests of training and probing share: a toy model of random weights, sessions by hand, one unpadded sequence, and real kills."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import fields, replace

import torch

from workflow_scripts.core.data.fim import Fim
from workflow_scripts.core.lm import models, packing
from workflow_scripts.core.methods import Base, Dpo, Ipo, Sft, Single, Slic, Smoothed
from workflow_scripts.core.training import rewards
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.session import Session

# of any method: one epoch in which the weights stay as they are, no penalties, nothing beside the rl_prompt set
SETTINGS = dict(epochs=1, batch_size=4, learning_rate=1e-9, weight_decay=0.0, warmup_ratio=0.0, threads=1)
SETTINGS |= dict(precision="auto", lora=None, gradient_checkpointing=False, micro_batch_tokens=None, workers=1)
SETTINGS |= dict(data="sft", seed=0, reward_model="", preference_prompts=0, temperature=1.0, missing_eos_penalty=0.0, length_penalty=0.0)
# a stage's own settings beside them, of those that train on fixed rows
OF_ROWS = {
    Base: {},
    Sft: {},
    Ipo: dict(beta=0.5),
    Dpo: dict(beta=0.5),
    Slic: dict(delta=1.0, sft_coef=0.1),
    Single: {},
    Smoothed: dict(smoothing=0.3),
}
NO_CHECKPOINTS = Checkpoints(None, 0)
PROCESSES = multiprocessing.get_context("forkserver")  # children start with the libraries imported, and with none of our threads
PROCESSES.set_forkserver_preload(["transformers.trainer", __name__])


def scratch(tokenizer, fim: Fim):
    """A model of 2 layers."""
    return models.create_scratch(vocabulary=len(tokenizer), hidden=32, layers=2, heads=2, intermediate=64, context=128, fim=fim).eval()


def session(method: type, *, fim: Fim | None = None, seed: int = 0, checkpoints: Checkpoints = NO_CHECKPOINTS, **settings) -> Session:
    """A session on the CPU, without bars, with these settings of the method (a dataclass of core/methods.py) over SETTINGS."""
    shared = {field.name: SETTINGS[field.name] for field in fields(method) if field.name in SETTINGS}
    return Session(settings=method(**shared | settings), seed=seed, device="cpu", fim=fim, checkpoints=checkpoints)


def changed(session: Session, **settings) -> Session:
    """The session with other settings."""
    return replace(session, settings=replace(session.settings, **settings))


def logprobs(model, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """Log-probability of each token of the completion, one sequence at a time, unpadded."""
    logits = model(torch.tensor([prompt + completion]), use_cache=False).logits[0].log_softmax(-1)
    return torch.stack([logits[len(prompt) + i - 1, token] for i, token in enumerate(completion)])


def first_loss(record: dict) -> float:
    """The loss of a training of one step."""
    return record["history"][0]["train_loss"]


def same(one: dict, other: dict) -> bool:
    """Whether two sets of weights are equal, bit by bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def fresh_reward(parent: str, fim: Fim) -> rewards.Reward:
    """A reward model that nobody has trained: a head from one seed on the parent's weights."""
    torch.manual_seed(3)
    model = models.load_reward_model(parent, fim=fim).eval()
    return lambda packed: packing.scores(model, packed).float()


def killed(function: Callable, *arguments) -> None:
    """Run a function in a child that kills itself."""
    child = PROCESSES.Process(target=function, args=arguments)
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL


def die_after(owner, name: str, calls: int) -> None:
    """Let this process kill itself at the end of so many calls of a function."""
    real, results = getattr(owner, name), []

    def die(*arguments, **options):
        results.append(real(*arguments, **options))
        if len(results) == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return results[-1]

    setattr(owner, name, die)
