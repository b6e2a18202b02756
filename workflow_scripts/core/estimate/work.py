"""The work of a run, job by job: how many tokens its models read, learn from and decode, by the resolved config alone.

How long texts are is not known before they are read: prompts are taken to end at random before what they may have, a target to have so many tokens a
line. These lengths are those of the default corpus; everything else is arithmetic.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..config.elsewhere import arms_of
from ..config.layout import ARMS
from ..config.references import lineage
from ..methods import METHODS, REWARD_TYPES

FUNCTION = 140  # tokens of a function
PROMPT = 125  # tokens of a prompt that nothing cuts
LINE = 6.5  # tokens of a line of a target
AT_ONCE = 512  # samples of attacks that are decoded at a time
TEXT = 0.75  # of examples.max_target_tokens, of a response
ATTACKED = 0.3  # share of the tokens of sampled attacks that are really decoded: samples that agree share a row, hopeless ones are given up


SHARED = ("probe_policy", "score_rewards", "judge_pairs")  # rules whose jobs share their work as probes.workers says


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one of `jobs` equal jobs does. Tokens: `learnt` are read forward and backward, `scored` forward, `decoded` one by one.

    `learnt_logits` and `scored_logits` are those of them whose logits are needed. `held`: models in memory; `longest`: tokens of the largest
    batch, of which `predicted` need logits. `base` is the base policy, whose size it has; `networks` those of the rewards that it reads, each
    `judged` tokens; `settings` those of the policy or reward model.
    """

    rule: str
    name: str
    base: str
    jobs: int
    settings: dict
    learnt: float = 0.0
    learnt_logits: float = 0.0
    scored: float = 0.0
    scored_logits: float = 0.0
    decoded: float = 0.0
    judged: float = 0.0
    networks: tuple[str, ...] = ()
    held: int = 1
    longest: float = 0.0
    predicted: float = 0.0
    saves: bool = False
    by_trl: bool = False

    @property
    def trained(self) -> int:
        """Models that learn: with PPO a value model, too, on the body of the reward's first network; it reads what that reads."""
        return 1 + (self.settings.get("method") == "ppo")

    @property
    def workers(self) -> int:
        """Processes that share it."""
        return self.settings.get("workers", 1) if self.rule.startswith("train_") or self.rule in SHARED else 1

    @property
    def threads(self) -> int:
        """Threads of all of them."""
        return self.settings["threads"] * self.workers


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a `prompt` and of a `target` with its end token."""

    prompt: float
    target: float

    @property
    def row(self) -> float:
        return self.prompt + self.target

    @property
    def pair(self) -> float:
        return self.prompt + 2 * self.target


def lengths(examples: dict, language: str) -> Lengths:
    """What is expected of the examples of a config."""
    most = examples["max_target_tokens"]
    target = TEXT * most if language == "text" else min(0.9 * most, LINE * examples["max_target_lines"])
    return Lengths(PROMPT * -math.expm1(-examples["max_prompt_tokens"] / PROMPT), target + 1)


def whole(config: dict) -> float:
    """Tokens of a row of base's blocks: a function, or a prompt with its response."""
    language = config["corpus"]["language"]
    return lengths(config["examples"], language).row if language == "text" else FUNCTION


def works(config: dict) -> Iterator[Work]:
    """The work of every kind of job with a model, in the order in which it is done."""
    size, seeds = lengths(config["examples"], config["corpus"]["language"]), len(config["seeds"])
    for name, policy in config["policies"].items():
        base, chains = lineage(config["policies"], name)[0], len(arms_of(policy)) * seeds
        common = dict(name=name, base=base, jobs=seeds if policy["method"] == "base" else chains, settings=policy, saves=True)
        work = Work(rule=f"train_{policy['method']}", **common, by_trl=name in config.get("trainers", {}))
        yield from _TRAINING[METHODS[policy["method"]].learns_from](config, size, work)
    for name, reward in config["reward_models"].items():
        if REWARD_TYPES[reward["type"]].checkpoint == "weights":
            base, rows = lineage(config["policies"], reward["parent"])[0], _rows(config, "preference")
            common = dict(name=name, base=base, jobs=2 * seeds, settings=reward, saves=True)
            work = Work(rule=f"train_reward_{reward['type']}", **common, by_trl=name in config.get("trainers", {}))
            yield _learning(work, rows=rows * reward["epochs"], tokens=size.pair, logits=0)
    yield from _sampled_pairs(config, size)
    yield from _probes(config, size)


def _rows(config: dict, cohort: str) -> int:
    """Rows of an arm's training set: natural ones, and half of the cohort's canaries as often as their doses."""
    canaries, doses = config["canaries"]["cohorts"][cohort] // 2, config["canaries"]["doses"]
    return config["corpus"]["pools"][cohort] + canaries * sum(doses) // len(doses)


def _learning(work: Work, *, rows: float, tokens: float, logits: float, **others) -> Work:
    """Learning from so many rows of so many tokens, of which `logits` are predicted."""
    batch = work.settings["batch_size"]
    limit = max(tokens, work.settings["micro_batch_tokens"] or batch * tokens)
    longest = min(batch * tokens, limit)
    more = dict(longest=longest, predicted=longest * logits / tokens)
    return replace(work, learnt=rows * tokens, learnt_logits=rows * logits, **more, **others)


def _blocks(config: dict, size: Lengths, work: Work) -> Iterator[Work]:
    block = config["examples"]["block_tokens"]
    blocks = int(config["corpus"]["pools"]["base"] * whole(config) // block)
    yield _learning(work, rows=blocks * work.settings["epochs"], tokens=block, logits=block)


def _examples(config: dict, size: Lengths, work: Work) -> Iterator[Work]:
    data = work.settings["data"]
    rows = config["corpus"]["pools"]["rl_prompt"] if data == "clean" else _rows(config, data)
    yield _learning(work, rows=rows * work.settings["epochs"], tokens=size.row, logits=size.target)


def _pairs(config: dict, size: Lengths, work: Work) -> Iterator[Work]:
    rows = _rows(config, "preference")
    read = {} if work.settings["method"] == "slic" else dict(scored=rows * size.pair, scored_logits=2 * rows * size.target)
    yield _learning(work, rows=rows * work.settings["epochs"], tokens=size.pair, logits=2 * size.target, **read)


def _rewards(config: dict, size: Lengths, work: Work) -> Iterator[Work]:
    """Rollouts: the policy decodes, policy, reference and the reward's network (with PPO the value model) read, policy (and value model) learn."""
    settings = work.settings
    ppo, group = settings["method"] == "ppo", settings.get("num_generations", 1)
    networks = networks_of(config, settings["reward_model"])
    read = settings["episodes"] * (size.prompt / group + size.target)
    passes = next(
        (settings[key] for key in ("ppo_epochs", "rloo_epochs") if key in settings), 2 / group
    )  # online DPO learns from two of a group
    batch = settings["mini_batch_size"] * (size.prompt / group + size.target)
    longest = min(batch, max(size.row, settings["micro_batch_tokens"] or batch))
    yield replace(
        work,
        decoded=settings["episodes"] * size.target,
        scored=2 * read + settings["episodes"] / group * size.prompt,
        scored_logits=2 * settings["episodes"] * size.target,
        learnt=passes * read,
        learnt_logits=passes * settings["episodes"] * size.target,
        judged=read,
        networks=networks,
        held=2 + ppo + len(networks),
        longest=longest,
        predicted=longest * size.target / (size.prompt / group + size.target),
    )


def _samples(config: dict, size: Lengths, work: Work) -> Iterator[Work]:
    """Several completions of every distinct prompt, ranked by a reward, and learning from all of them or from the best and the worst."""
    settings, canaries = work.settings, config["canaries"]["cohorts"]
    prompts = config["corpus"]["pools"]["rl_prompt"] + canaries["rl_prompt"] // 2
    prompts += canaries["preference"] // 2 * bool(settings["preference_prompts"])
    group, networks = settings["num_generations"], networks_of(config, settings["reward_model"])
    shown = 2 if settings["method"] == "iterative_dpo" else group
    tokens = size.prompt + shown * size.target
    scored = prompts * size.prompt + (prompts * tokens if settings["method"] == "iterative_dpo" else 0)
    rewards = dict(judged=prompts * (size.prompt + group * size.target), networks=networks)
    made = dict(decoded=prompts * group * size.target, scored=scored, held=1 + len(networks), **rewards)
    yield _learning(work, rows=prompts * settings["epochs"], tokens=tokens, logits=shown * size.target, **made)


def _elsewhere(config: dict, size: Lengths, work: Work) -> Iterator[Work]:
    yield replace(work, settings={**work.settings, "precision": "fp32"}, held=2)  # a base, and an adapter merged into it


_TRAINING = {
    "blocks": _blocks,
    "examples": _examples,
    "pairs": _pairs,
    "rewards": _rewards,
    "samples": _samples,
    "elsewhere": _elsewhere,
}


def networks_of(config: dict, reward: str) -> tuple[str, ...]:
    """The base policy of each network that a reward reads."""
    models = config["reward_models"]
    members = [models[name] for name in models[reward].get("members", [reward])]
    return tuple(lineage(config["policies"], m["parent"])[0] for m in members if REWARD_TYPES[m["type"]].checkpoint == "weights")


def _sampled_pairs(config: dict, size: Lengths) -> Iterator[Work]:
    settings, pools = config["preferences"], config["corpus"]["pools"]
    base = lineage(config["policies"], settings["sampler"])[0]
    common = dict(name="", base=base, jobs=2 * len(config["seeds"]))
    work = Work(rule="sample_preferences", **common, settings={**settings, "precision": config["training"]["precision"]})
    if settings["rejected"] == "samples":
        prompts = _rows(config, "preference") + pools["evaluation"] + config["canaries"]["cohorts"]["unplanted"] // 2
        batch = settings["batch_size"] * settings["candidates"]
        work = replace(
            work,
            scored=prompts * size.prompt,
            decoded=prompts * settings["candidates"] * size.target,
            longest=batch * (size.prompt + settings["max_new_tokens"]),
            predicted=batch,
        )
    yield work


def _probes(config: dict, size: Lengths) -> Iterator[Work]:
    """Probes of every policy; rewards of what it completes; held-out pairs."""
    probes, pools, seeds = config["probes"], config["corpus"]["pools"], len(config["seeds"])
    cohorts, conditions = config["canaries"]["cohorts"], len(probes["prompts"])
    canaries, planted = sum(cohorts.values()), sum(cohorts[name] for name in ("sft", "preference", "rl_prompt")) / 2
    asked, held_out, sampled = canaries * conditions, pools["evaluation"], pools["evaluation"] + pools["validation"]
    fillings = canaries * (size.prompt + probes["reference_fillings"] * size.target)
    scored = 2 * (asked + held_out) * size.row + fillings + 2 * canaries * size.pair + 2 * sampled * (size.row + size.target)
    logits = scored - size.prompt * (2 * asked + 2 * held_out + 3 * canaries + 2 * sampled)
    decoded = (asked + held_out) * size.target / 2 + sampled * size.target
    batch = probes["batch_size"]
    rows = max(batch, AT_ONCE) if probes["sampled_attacks"] else batch
    asks = dict(settings=probes, longest=rows * size.row, predicted=batch * size.target)
    scores = dict(settings=probes, longest=batch * size.pair)
    for name, policy in config["policies"].items():
        base, once = lineage(config["policies"], name)[0], policy["method"] == "base"
        arms = len(arms_of(policy)) * seeds
        attacks = 0 if once else planted * probes["sampled_attacks"] * size.target * ATTACKED
        about = dict(name=name, base=base)
        read = dict(scored=scored, scored_logits=logits, decoded=decoded + attacks)
        yield Work(rule="probe_policy", jobs=seeds if once else arms, held=2, **read, **about, **asks)
        networks = networks_of(config, config["report"]["reward_model"])
        rewards = dict(judged=(canaries + held_out) * size.pair + sampled * size.row, networks=networks, held=len(networks))
        yield Work(rule="score_rewards", jobs=len(ARMS) * seeds if once else arms, **rewards, **about, **scores)
    for name in config["reward_models"]:
        networks = networks_of(config, name)
        base = lineage(config["policies"], config["preferences"]["sampler"])[0]
        rewards = dict(judged=held_out * size.pair, networks=networks, held=len(networks))
        yield Work(rule="judge_pairs", name=name, base=base, jobs=2 * seeds, **rewards, **scores)
    reference = config["report"]["reference_policy"]
    base = lineage(config["policies"], reference)[0]
    items = probes["parity_items"]
    yield Work(rule="probe_parity", name="", base=base, jobs=1, scored=4 * items * size.row, decoded=3 * items * size.target, **asks)
