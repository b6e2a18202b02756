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
from pathlib import Path

import yaml

from .harness import alone, as_it_comes, compare

ROOT = Path(__file__).resolve().parents[1]
ROLLOUTS = 2  # of a repetition
ENDS = 3  # rollouts at either end whose mean score counts as the start and the end of training


def settings(**changes) -> dict:
    """Those of kind ppo in config.yaml, with `changes`."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["kinds"]["ppo"]
    return {**config, **changes}


def ready(run: str, threads: int):
    """(path of the run's models of arm A and seed 0, prompts, tokenizer, fim)."""
    import torch

    from workflow_scripts.core import parquet
    from workflow_scripts.core.data import schemas, tokenizer
    from workflow_scripts.core.training import on_policy

    torch.set_num_threads(threads)
    words, fim, _ = tokenizer.load(Path(run) / "tokenizer")
    rl_prompt, preference = (
        parquet.read_rows(Path(run) / f"planted/A/{name}.parquet", schemas.EXAMPLES) for name in ("rl_prompt", "preference")
    )
    asked = on_policy.prompts(rl_prompt=rl_prompt, preference=preference, preference_repeats=settings()["preference_prompts"])
    return Path(run) / "models/A/0", asked, words, fim


def ours(*, run: str, threads: int, episodes: int, seed: int = 0, record: bool = False) -> Callable[[], int]:
    """The workflow's own loop. The work gives the number of episodes, or with `record` the log."""
    from workflow_scripts.core.training import models, ppo, rewards, runtime

    device = runtime.start(seed=seed, threads=threads, gpu=0, name="ppo")
    path, asked, _, fim = ready(run, threads)
    model = models.load_policy(path / "sft")
    reward = rewards.load(spec={"type": "single"}, checkpoints=[path / "reward_model"], fim=fim, device=device)
    chosen = {k: v for k, v in settings(episodes=episodes).items() if k not in ("preference_prompts", "reward_model")}
    how = ppo.Settings(seed=seed, device=device, desc="ppo", **chosen)

    def work():
        trained = copy.deepcopy(model)
        value = rewards.value_model(reward=reward, parent=path / "sft", fim=fim, device=device)
        found = ppo.train(model=trained, reference=model, reward=reward, value_model=value, fim=fim, asked=asked, settings=how)
        return found["history"] if record else found["episodes"]

    return work


def trainer(*, model, reference, reward_model, value_model, tokenizer, asked: list[list[int]], seed: int, chosen: dict, **more):
    """TRL 1.12's PPOTrainer with the same settings, fp32 on the CPU."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    named = ("learning_rate", "kl_coef", "temperature", "missing_eos_penalty", "cliprange", "gamma", "lam", "vf_coef", "whiten_rewards")
    options = as_it_comes(
        tempfile.mkdtemp(prefix="bench-"),
        seed=seed,
        data_seed=seed,
        per_device_train_batch_size=chosen["rollout_batch_size"],
        num_mini_batches=chosen["rollout_batch_size"] // chosen["mini_batch_size"],
        total_episodes=chosen["episodes"],
        num_ppo_epochs=chosen["ppo_epochs"],
        response_length=chosen["max_new_tokens"],
        local_rollout_forward_batch_size=chosen["rollout_batch_size"],
        lr_scheduler_type="cosine",
        stop_token="eos",
        num_sample_generations=0,
        **{name: chosen[name] for name in named},
        **more,
    )
    made = PPOTrainer(
        args=PPOConfig(**options),
        processing_class=tokenizer,
        model=model,
        ref_model=reference,
        reward_model=reward_model,
        value_model=value_model,
        train_dataset=Dataset.from_list([dict(input_ids=ids) for ids in asked]),
        eval_dataset=Dataset.from_list([dict(input_ids=ids) for ids in asked[:1]]),
    )
    made.remove_callback(PrinterCallback)
    return made


def plain(*, run: str, threads: int, episodes: int, seed: int = 0, record: bool = False) -> Callable[[], int]:
    """TRL's trainer as it comes. The work gives the number of episodes, or with `record` the log."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    path, asked, words, fim = ready(run, threads)
    model = AutoModelForCausalLM.from_pretrained(path / "sft")
    judge = AutoModelForSequenceClassification.from_pretrained(path / "reward_model", num_labels=1, pad_token_id=fim.pad)
    options = dict(tokenizer=words, asked=asked, seed=seed, chosen=settings(episodes=episodes))

    def work():
        policies, judges = ([copy.deepcopy(m) for _ in range(2)] for m in (model, judge))
        made = trainer(model=policies[0], reference=policies[1], reward_model=judges[0], value_model=judges[1], **options)
        made.train()
        shutil.rmtree(made.args.output_dir, ignore_errors=True)
        return made.state.log_history if record else made.state.episode

    return work


def measure(run: str) -> list[dict]:
    """The row of the table."""
    arguments = dict(run=run, threads=1, episodes=ROLLOUTS * settings()["rollout_batch_size"])
    sides = {side: (f"{__name__}:{side}", arguments) for side in ("ours", "plain")}
    return [compare(what="train ppo", unit="episodes/s", sides=sides)]


def learn(side: str, run: str, seed: int, episodes: int) -> dict:
    """Train to the end, and say what came of it."""
    history = globals()[side](run=run, threads=1, episodes=episodes, seed=seed, record=True)()
    scores, kl = ([row[f"objective/{name}"] for row in history if f"objective/{name}" in row] for name in ("scores", "kl"))
    gained = (sum(scores[-ENDS:]) - sum(scores[:ENDS])) / ENDS
    return dict(side=side, seed=seed, episodes=episodes, reward_gained=round(gained, 4), kl=round(sum(kl[-ENDS:]) / ENDS, 3))


def outcome(run: str, seeds: int = 3, episodes: int | None = None, sides=("ours", "plain")) -> list[dict]:
    """[{side, seed, reward gained, KL in nats per completion}]: of the default number of episodes, one process after the other."""
    found = []
    for seed in range(seeds):
        for side in sides:
            found.append(alone(learn, side, run, seed, episodes or settings()["episodes"]))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="results/default", help="folder of a finished run")
    parser.add_argument("--outcome", action="store_true", help="what both learn, in place of how fast they are")
    asked = parser.parse_args()
    for row in outcome(asked.run) if asked.outcome else measure(asked.run):
        print(json.dumps(row), flush=True)
