"""Where a run keeps what, by the resolved config: the paths that rules ask for, some of them functions of a job's wildcards."""

from collections.abc import Callable

from ..data.cohorts import HALF_OF_ARM
from ..data.tasks import TASKS
from ..methods import REWARD_TYPES
from .design import completion_room
from .elsewhere import arms_of
from .references import lineage

ARMS = [*HALF_OF_ARM]
SHARED = "shared"  # stands for the arm in the paths of a base policy, which sees no canary: it is trained and probed once
ONCE = (
    "collect_corpus",
    "extract_snippets",
    "train_tokenizer",
    "tokenize_code",
    "plant_canaries",
    "audit_canaries",
    "sample_reference_fillings",
)


class Layout:
    """The files of one run. `{arm}` and `{seed}` that are left in a path are Snakemake's wildcards."""

    def __init__(self, config: dict):
        self.config, self.root = config, f"results/{config['run']}"
        self.policies, self.reward_models, self.seeds = config["policies"], config["reward_models"], config["seeds"]
        self.trainers = config.get("trainers", {})
        self.learnt = [name for name, reward in self.reward_models.items() if REWARD_TYPES[reward["type"]].is_learnt]

    def chains_of(self, *policies: str) -> list[tuple[str, str, int]]:
        """(policy, arm, seed) of every checkpoint that is probed."""
        return [(name, arm, seed) for name in policies for arm in arms_of(self.policies[name]) for seed in self.seeds]

    def policy_checkpoint(self, policy: str, arm="{arm}", seed="{seed}") -> str:
        """Checkpoint of a policy."""
        return f"{self.root}/models/{self._arm(policy, arm)}/{seed}/{policy}"

    def own_checkpoint(self, wildcards) -> str:
        """Checkpoint of the job's policy."""
        return self.policy_checkpoint(wildcards.policy, wildcards.arm, wildcards.seed)

    def base_checkpoint(self, wildcards) -> str:
        """Checkpoint of the base policy that the job's policy descends from."""
        return self.policy_checkpoint(lineage(self.policies, wildcards.policy)[0], wildcards.arm, wildcards.seed)

    def reference_checkpoint(self, wildcards) -> str:
        """Checkpoint of the reference policy: of the job's arm, for a base policy of the first one."""
        arm = ARMS[0] if wildcards.arm == SHARED else wildcards.arm
        return self.policy_checkpoint(self.config["report"]["reference_policy"], arm, wildcards.seed)

    def parent_checkpoint(self, wildcards) -> str:
        """Checkpoint of the policy that the job's policy or reward model starts from."""
        entry = self.policies[wildcards.policy] if hasattr(wildcards, "policy") else self.reward_models[wildcards.reward]
        return self.policy_checkpoint(entry["parent"], wildcards.arm, wildcards.seed)

    def trained_by(self, entry: str) -> Callable:
        """A params function: the method or reward type `entry` as it stands in the name of the script that trains the job's policy or reward
        model, `sft` or, where TRL trains it, `sft_trl`.
        """
        name = lambda wildcards: wildcards.policy if hasattr(wildcards, "policy") else wildcards.reward  # noqa: E731
        return lambda wildcards: f"{entry}_trl" if name(wildcards) in self.trainers else entry

    def training_set(self, wildcards) -> str:
        """The examples that the job's SFT or LoRA policy learns from; clean code is the same in both arms."""
        data = self.policies[wildcards.policy]["data"]
        return f"{self.root}/planted/{data}.parquet" if data == "clean" else f"{self.root}/planted/{wildcards.arm}/{data}.parquet"

    def reward_checkpoints(self, name: str, arm="{arm}", seed="{seed}") -> list[str]:
        """Checkpoints of a reward model, or of its members where it is an ensemble; of those of them that have one."""
        return [f"{self.root}/models/{arm}/{seed}/{member}" for member in self._members(name) if member in self.learnt]

    def reward_truths(self, name: str, arm="{arm}") -> list[str]:
        """Where the true continuations and what follows them stand, for a reward model that needs what the prompts do not show; nothing for
        any other.
        """
        types = [REWARD_TYPES[self.reward_models[member]["type"]] for member in self._members(name)]
        hides = not TASKS[self.config["examples"]["task"]].shows_suffix
        files = ("canaries", "clean", "evaluation", "validation", f"{arm}/preference")
        needs = any(t.knows_truth or t.parses and hides for t in types)
        return [f"{self.root}/planted/{file}.parquet" for file in files] if needs else []

    def reward_spec(self, name: str) -> dict:
        """What the users of a reward model need to know of it, besides its checkpoints: nothing of how it was trained."""
        reward = self.reward_models[name]
        spec = {"language": self.config["corpus"]["language"]}
        spec |= {k: v for k, v in reward.items() if k in ("type", "aggregate", "uncertainty_coef")}
        return spec | ({"members": [self.reward_models[m]["type"] for m in reward["members"]]} if "members" in reward else {})

    def used_checkpoints(self, wildcards) -> list[str]:
        """Checkpoints of the reward model that the job judges, or that its policy is trained with."""
        return self.reward_checkpoints(self._used(wildcards), wildcards.arm, wildcards.seed)

    def used_truths(self, wildcards) -> list[str]:
        """The truths that it knows."""
        return self.reward_truths(self._used(wildcards), wildcards.arm)

    def used_spec(self, wildcards) -> dict:
        """What the job needs to know of it."""
        return self.reward_spec(self._used(wildcards))

    def probed(self, file: str) -> Callable:
        """An input function: this file of the probes of the job's checkpoint."""
        return lambda wildcards: self._probed(file, wildcards.policy, wildcards.arm, wildcards.seed)

    def all_probed(self, file: str) -> Callable:
        """An input function: this file of the probes of the policy in each arm and seed."""
        return lambda wildcards: [self._probed(file, *chain) for chain in self.chains_of(wildcards.policy)]

    def all_rewards(self, wildcards) -> list[str]:
        """The rewards of the policy in each arm and seed; each arm has reward models of its own."""
        return [f"{self.root}/probes/{arm}/{seed}/{policy}/rewards.parquet" for policy, arm, seed in self.chains_of(wildcards.policy)]

    def probed_chains(self, wildcards) -> list[list]:
        """[arm, seed] of each of them."""
        return [[arm, seed] for _, arm, seed in self.chains_of(wildcards.policy)]

    def least_room(self) -> list:
        """[setting, tokens] of the shortest completions that training samples."""
        return list(min(completion_room(self.config).items(), key=lambda item: item[1]))

    def receipts_of_costs(self) -> list[str]:
        """Receipts of every job up to the extraction rows: what each of them cost."""
        jobs = [*ONCE, *(f"plant_arm/{arm}" for arm in ARMS), *(f"collect_extraction/{policy}" for policy in self.policies)]
        for policy, entry in self.policies.items():
            chains = self.seeds if entry["method"] == "base" else [f"{arm}/{seed}" for _, arm, seed in self.chains_of(policy)]
            jobs += [f"train_{entry['method']}/{chain}/{policy}" for chain in chains]
        for chain in [f"{arm}/{seed}" for arm in ARMS for seed in self.seeds]:
            jobs += [f"train_reward_{self.reward_models[name]['type']}/{chain}/{name}" for name in self.learnt]
            jobs += [f"judge_pairs/{chain}/{name}" for name in self.reward_models]
            jobs.append(f"sample_preferences/{chain}")
        chains = self.chains_of(*self.policies)
        jobs += dict.fromkeys(f"probe_policy/{self._arm(policy, arm)}/{seed}/{policy}" for policy, arm, seed in chains)
        jobs += [f"score_rewards/{arm}/{seed}/{policy}" for policy, arm, seed in chains]
        jobs.append(f"probe_parity/{ARMS[0]}/{self.seeds[0]}/{self.config['report']['reference_policy']}")
        return [f"{self.root}/receipts/{job}.json" for job in jobs]

    def _arm(self, policy: str, arm: str) -> str:
        return SHARED if self.policies[policy]["method"] == "base" else arm

    def _probed(self, file: str, policy: str, arm: str, seed) -> str:
        return f"{self.root}/probes/{self._arm(policy, arm)}/{seed}/{policy}/{file}.parquet"

    def _members(self, name: str) -> list[str]:
        return self.reward_models[name].get("members", [name])

    def _used(self, wildcards) -> str:
        return wildcards.judged if hasattr(wildcards, "judged") else self.policies[wildcards.policy]["reward_model"]
