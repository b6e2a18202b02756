"""PPO: ours beside TRL 1.12's PPOTrainer as it comes, on a finished run's sft policy, reward model and prompts, one thread.

python -m benchmarks.ppo --run results/default
python -m benchmarks.ppo --run results/default --outcome    (what both learn, over seeds; half an hour)
"""

import argparse
import copy
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from workflow_scripts.core.methods import Ppo, pick

from .harness import alone, as_it_comes, compare, config

ROLLOUTS = 2  # of a repetition
ENDS = 3  # rollouts at either end whose mean score counts as the start and the end of training


def defaults(**changes) -> Ppo:
    """The settings of PPO in config.yaml, with `changes`."""
    settings = config()
    return replace(pick(Ppo, {**settings["training"], **settings["methods"]["ppo"]}), **changes)


def ready(run: str, threads: int):
    """(path of the run's models of arm A and seed 0, prompts, tokenizer, fim)."""
    import torch

    from workflow_scripts.core.data import tokenizer
    from workflow_scripts.core.training import rl_prompts

    torch.set_num_threads(threads)
    words, fim, _ = tokenizer.load(Path(run) / "tokenizer")
    sets = {name: Path(run) / f"planted/A/{name}.parquet" for name in ("rl_prompt", "preference")}
    return Path(run) / "models/A/0", rl_prompts.read(**sets, repeats=defaults().preference_prompts), words, fim


def ours(*, run: str, threads: int, episodes: int, seed: int = 0, record: bool = False) -> Callable[[], int]:
    """The workflow's own loop. The work gives the number of episodes, or with `record` the log."""
    from workflow_scripts.core.lm import runtime
    from workflow_scripts.core.training import ppo, rewards
    from workflow_scripts.core.training.session import Session

    device = runtime.start(seed=seed, threads=threads, gpu=0, name="ppo")
    path, prompts, _, fim = ready(run, threads)
    session = Session(settings=defaults(episodes=episodes), seed=seed, device=device, name="ppo", fim=fim)
    parent = session.load_policy(path / "sft")
    reward = rewards.load(spec={"type": "single"}, checkpoints=[path / "reward_model"], session=session)

    def work():
        policy = copy.deepcopy(parent)
        value = rewards.value_model(reward=reward, parent=path / "sft", session=session)
        result = ppo.train(policy=policy, reference=parent, reward=reward, value_model=value, prompts=prompts, session=session)
        return result["history"] if record else result["episodes"]

    return work


def trainer(*, model, reference, reward_model, value_model, tokenizer, prompts: list[list[int]], seed: int, settings: Ppo, **more):
    """TRL 1.12's PPOTrainer with the same settings, fp32 on the CPU."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    named = ("learning_rate", "kl_coef", "temperature", "missing_eos_penalty", "cliprange", "gamma", "lam", "vf_coef", "whiten_rewards")
    options = as_it_comes(
        tempfile.mkdtemp(prefix="bench-"),
        seed=seed,
        data_seed=seed,
        per_device_train_batch_size=settings.rollout_batch_size,
        num_mini_batches=settings.rollout_batch_size // settings.mini_batch_size,
        total_episodes=settings.episodes,
        num_ppo_epochs=settings.ppo_epochs,
        response_length=settings.max_new_tokens,
        local_rollout_forward_batch_size=settings.rollout_batch_size,
        lr_scheduler_type="cosine",
        stop_token="eos",
        num_sample_generations=0,
        **{name: getattr(settings, name) for name in named},
        **more,
    )
    theirs = PPOTrainer(
        args=PPOConfig(**options),
        processing_class=tokenizer,
        model=model,
        ref_model=reference,
        reward_model=reward_model,
        value_model=value_model,
        train_dataset=Dataset.from_list([dict(input_ids=ids) for ids in prompts]),
        eval_dataset=Dataset.from_list([dict(input_ids=ids) for ids in prompts[:1]]),
    )
    theirs.remove_callback(PrinterCallback)
    return theirs


def plain(*, run: str, threads: int, episodes: int, seed: int = 0, record: bool = False) -> Callable[[], int]:
    """TRL's trainer as it comes. The work gives the number of episodes, or with `record` the log."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    path, prompts, words, fim = ready(run, threads)
    model = AutoModelForCausalLM.from_pretrained(path / "sft")
    judge = AutoModelForSequenceClassification.from_pretrained(path / "reward_model", num_labels=1, pad_token_id=fim.pad)
    options = dict(tokenizer=words, prompts=prompts, seed=seed, settings=defaults(episodes=episodes))

    def work():
        policies, judges = ([copy.deepcopy(m) for _ in range(2)] for m in (model, judge))
        theirs = trainer(model=policies[0], reference=policies[1], reward_model=judges[0], value_model=judges[1], **options)
        theirs.train()
        shutil.rmtree(theirs.args.output_dir, ignore_errors=True)
        return theirs.state.log_history if record else theirs.state.episode

    return work


def measure(run: str) -> list[dict]:
    """The row of the table."""
    arguments = dict(run=run, threads=1, episodes=ROLLOUTS * defaults().rollout_batch_size)
    sides = {side: (f"{__name__}:{side}", arguments) for side in ("ours", "plain")}
    return [compare(what="train ppo", unit="episodes/s", sides=sides)]


def learn(side: str, run: str, seed: int, episodes: int) -> dict:
    """Train to the end: the reward gained and the KL reached."""
    history = globals()[side](run=run, threads=1, episodes=episodes, seed=seed, record=True)()
    scores, kl = ([row[f"objective/{name}"] for row in history if f"objective/{name}" in row] for name in ("scores", "kl"))
    gained = (sum(scores[-ENDS:]) - sum(scores[:ENDS])) / ENDS
    return dict(side=side, seed=seed, episodes=episodes, reward_gained=round(gained, 4), kl=round(sum(kl[-ENDS:]) / ENDS, 3))


def outcome(run: str, seeds: int = 3, episodes: int | None = None, sides=("ours", "plain")) -> list[dict]:
    """[{side, seed, reward gained, KL in nats per completion}]: of the default number of episodes, one process after the other."""
    runs = [(side, seed) for seed in range(seeds) for side in sides]
    return [alone(learn, side, run, seed, episodes or defaults().episodes) for side, seed in runs]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="results/default", help="folder of a finished run")
    parser.add_argument("--outcome", action="store_true", help="what both learn, in place of how fast they are")
    options = parser.parse_args()
    for row in outcome(options.run) if options.outcome else measure(options.run):
        print(json.dumps(row), flush=True)
