"""What a run reads of the user's: its files, and the checks of it that come before the first job, when nothing is lost yet."""

import sys
from functools import partial

from ..data.model_source import files, named_base
from ..data.secrets import check_secrets
from ..data.sources import check_source, counting_endings
from ..errors import InputError
from ..lm.external_files import check_external
from ..lm.model_files import check_made, check_model
from ..user_files import user_path
from .design import entries
from .elsewhere import is_external, places
from .layout import ARMS, Layout
from .references import lineage

EXTRACTED = (
    "min_lines",
    "max_lines",
    "max_chars",
    "near_duplicate_similarity",
    "seed",
    "split_by",
    "pools",
)  # what is taken from the source


def or_stop(function, *arguments, **options):
    """Call a function; exit with its InputError, one sentence on stderr."""
    try:
        return function(*arguments, **options)
    except InputError as error:
        sys.exit(f"canaryflow: {error}")


class Outside:
    """The user's files that the resolved config names. No rule has them as input: Snakemake reads paths as patterns."""

    def __init__(self, config: dict, layout: Layout):
        self.config, self.layout = config, layout
        self.source = {key: value for key, value in config["corpus"].items() if key not in EXTRACTED}  # how the corpus is read
        base = config["model"]["base"]
        self.code = own_files("corpus.path", self.source["path"], counting_endings(**self.source))
        self.model = own_model("model", "model.base", None if base == "scratch" else base)
        self.secrets = own_files("canaries.path", config["canaries"]["path"])

    def external_paths(self, wildcards) -> dict:
        """{path, adapter_base} of a checkpoint that was trained elsewhere; an adapter that is here may name its base itself."""
        name, key = wildcards["policy"], f"policies.{wildcards['policy']}.path"
        paths = places(self.config["policies"][name], arm=wildcards["arm"], seed=wildcards["seed"])
        return {**paths, "adapter_base": paths["adapter_base"] or named_base(or_stop(user_path, paths["path"], key))}

    def external_files(self, wildcards) -> dict:
        """Its files."""
        paths = self.external_paths(dict(wildcards.items()))
        where = f"policies.{wildcards.policy}"
        own = {"path": own_files(f"{where}.path", paths["path"])}
        return own | own_model("adapter_base", f"{where}.adapter_base", paths["adapter_base"])

    def checks(self) -> dict:
        """{rule, or name of a job: what is checked before the first job where it will run}; a check raises InputError."""
        model, canaries = self.config["model"], self.config["canaries"]
        of_model = {key: model[key] for key in ("base", "revision", "trust_remote_code", "context")}
        check_base = partial(check_model, **of_model, made=f"{self.layout.root}/tokenizer", trained=self._trained())
        check_own = partial(
            check_secrets,
            **{key: canaries[key] for key in ("source", "path", "cohorts", "doses", "seed")},
            reference_fillings=self.config["probes"]["reference_fillings"],
            max_target_tokens=self.config["examples"]["max_target_tokens"],
            model=model,
            task=self.config["examples"]["task"],
        )
        of_rules = {"collect_corpus": partial(check_source, **self.source), "plant_canaries": check_own}
        of_rules |= dict.fromkeys(("train_tokenizer", "train_base"), check_base)
        of_rules |= {rule: partial(check_made, **asked) for rule, asked in self._trained_by_rule().items()}
        external = [name for name, policy in self.config["policies"].items() if is_external(policy)]
        return of_rules | {
            f"train_external-{self.config['run']}-{arm}-{seed}-{name}": self._check_checkpoint(name, arm, seed)
            for name, arm, seed in self.layout.chains_of(*external)
        }

    def _trained(self) -> dict[str, dict]:
        """{key of a policy or reward model: what of its settings an architecture may not take}."""
        asked = {
            key: {name: entry.get(name) for name in ("lora", "gradient_checkpointing", "fsdp")}
            for key, entry in entries(self.config).items()
        }
        return {key: settings for key, settings in asked.items() if any(settings.values())}

    def _trained_by_rule(self) -> dict[str, dict]:
        """{rule: the base checkpoint that is there when only it and what follows will run, and what its policies or reward models ask of it}."""
        policies, rewards, trainers = (self.config.get(key, {}) for key in ("policies", "reward_models", "trainers"))
        found: dict[str, dict] = {}
        for key, settings in self._trained().items():
            section, _, name = key.partition(".")
            entry = self.config[section][name]
            rule = f"train_{entry['method']}" if section == "policies" else f"train_reward_{entry['type']}"
            base = lineage(policies, name if section == "policies" else rewards[name]["parent"])[0]
            if base != name:
                folder = self.layout.policy_checkpoint(base, ARMS[0], self.config["seeds"][0])
                asked = found.setdefault(rule + "_trl" * (name in trainers), dict(folder=folder, trained={}))
                asked["trained"][key] = settings
        return found

    def _check_checkpoint(self, name: str, arm: str, seed: int) -> partial:
        policies, model = self.config["policies"], self.config["model"]
        return partial(
            check_external,
            key=f"policies.{name}",
            revision=policies[name].get("revision"),
            **self.external_paths(dict(policy=name, arm=arm, seed=seed)),
            **{key: model[key] for key in ("trust_remote_code", "context")},
            tokenizer=f"{self.layout.root}/tokenizer",
            like=self.layout.policy_checkpoint(lineage(policies, name)[0], arm, seed),
        )


def own_files(key: str, path: str | None, endings=None) -> list | None:
    """Files of the user's, for the param `own` of a rule: where they are and which of them count."""
    return [str(or_stop(user_path, path, key)), endings] if path else None


def own_model(name: str, key: str, base: str | None) -> dict:
    """The same of all that a model is made of: itself, and what adapters name, by `name`, `name`_1 and so on."""
    return {f"{name}_{i}" if i else name: own_files(key, path) for i, path in enumerate(or_stop(files, base) if base else [])}
