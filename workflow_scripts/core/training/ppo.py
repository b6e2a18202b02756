"""PPO against the reward model with a KL penalty to the parent policy (Ziegler et al. 2019, arXiv 1909.08593).

The one module that knows TRL's PPOTrainer, which lives in `trl.experimental` up to 1.12.0 and is gone from 1.13 on: the pin in
envs/requirements.txt is here for its sake, and lifting it is a change of this file alone. The reward of an episode is the reward
model's score at the end of the completion, less `missing_eos_penalty` where it does not end within `max_new_tokens`, less
`kl_coef` times the summed log-ratio to the parent (estimator k1).
"""

import copy

from trl.experimental.ppo import PPOConfig, PPOTrainer

from ..errors import InputError
from .trainer import as_dataset, common_arguments, fit


def prompts(*, rl_prompt: list[dict], preference: list[dict], preference_repeats: int) -> list[dict]:
    """Episodes' prompts: every row of the rl_prompt set, and each distinct preference *canary* prompt `preference_repeats` times."""
    canaries = {e["source_id"]: e["prompt_ids"] for e in preference if e["source"] == "canary"}
    repeated = [ids for _, ids in sorted(canaries.items()) for _ in range(preference_repeats)]
    return [dict(input_ids=ids) for ids in [*(e["prompt_ids"] for e in rl_prompt), *repeated]]


def train(
    *,
    model,
    reference,
    reward_model,
    tokenizer,
    rows: list[dict],
    seed: int,
    device: str,
    desc: str,
    episodes: int,
    rollout_batch: int,
    minibatch: int,
    ppo_epochs: int,
    learning_rate: float,
    kl_coef: float,
    max_new_tokens: int,
    temperature: float,
    missing_eos_penalty: float,
    cliprange: float,
    gamma: float,
    lam: float,
    vf_coef: float,
    whiten_rewards: bool,
) -> dict:
    """Train the policy in place; the value model starts as a copy of the reward model. Returns {steps, history, tokens, episodes}.

    Whole rollouts are made, so that at least `episodes` are played. Raises InputError where one rollout needs more prompts than
    there are: the library would wait for them forever.
    """
    if len(rows) < rollout_batch:
        raise InputError(
            f"rollout_batch {rollout_batch} is larger than the {len(rows)} prompts of PPO; lower it or raise corpus.pools.rl_prompt"
        )
    arguments = PPOConfig(
        **common_arguments(
            seed=seed,
            device=device,
            learning_rate=learning_rate,
            batch_size=rollout_batch,
            num_mini_batches=rollout_batch // minibatch,
            total_episodes=episodes,
            num_ppo_epochs=ppo_epochs,
            kl_coef=kl_coef,
            response_length=max_new_tokens,
            temperature=temperature,
            missing_eos_penalty=missing_eos_penalty,
            cliprange=cliprange,
            gamma=gamma,
            lam=lam,
            vf_coef=vf_coef,
            whiten_rewards=whiten_rewards,
            stop_token="eos",
            num_sample_generations=0,
            local_rollout_forward_batch_size=rollout_batch,
        )
    )
    trainer = PPOTrainer(
        args=arguments,
        processing_class=tokenizer,
        model=model,
        ref_model=reference,
        reward_model=reward_model,
        value_model=copy.deepcopy(reward_model),
        train_dataset=as_dataset(rows),
        eval_dataset=as_dataset(rows[:1]),
    )
    record = fit(trainer, desc)
    played = record["steps"] * rollout_batch
    mean_prompt = sum(len(r["input_ids"]) for r in rows) / len(rows)
    return {**record, "episodes": played, "tokens": int(played * (mean_prompt + max_new_tokens))}
