"""The complete config: what Snakemake read, with defaults merged into each policy and reward model, checked in full."""

from ..data.languages import TEXT
from ..data.sources import SOURCES
from ..data.tasks import TASKS
from ..errors import InputError
from ..methods import METHODS, REWARD_TYPES, schema_of, without_defaults
from ..probing.prompts import DEFAULTS, SHOWS_SUFFIX
from . import names, schema
from .design import check_design
from .elsewhere import check_elsewhere
from .former import refuse_former
from .references import check_policies, check_reward_models, lineage
from .trainers import taken_out


def resolve(config: dict, schema_path) -> dict:
    """The config with every setting of each policy and reward model in place, in an order that does not depend on the files.

    A setting comes from the entry itself, else from its method or reward type, else from `training`; null entries are left out. `trainer`
    leaves the entries for a map of its own, `trainers`, of those that TRL trains, where there are any.
    Raises InputError at the first value that is unknown, of the wrong type, out of range, or at odds with another one.
    """
    refuse_former(config)
    schema.check(config, whole := schema.load(schema_path))
    config = schema.ordered(config, whole)
    names.check_run(config["run"])
    policies = _merged(config, "policies", noun="policy", key="method", defaults="methods", registry=METHODS)
    if not policies:
        raise InputError("config: policies: all of them are null; keep at least a base policy and an sft policy")
    check_policies({**config, "policies": policies})
    reward_models = _merged(config, "reward_models", noun="reward model", key="type", defaults="reward_types", registry=REWARD_TYPES)
    check_reward_models(reward_models, policies, judge=config["report"]["reward_model"])
    _check_taken_up(config)
    check_elsewhere({**config, "policies": policies, "reward_models": reward_models})
    trainers = taken_out(policies=policies, reward_models=reward_models)
    names.check_distinct(dict.fromkeys(policies, "policies") | dict.fromkeys(reward_models, "reward_models"))
    ordered = dict(sorted(reward_models.items(), key=lambda r: (list(REWARD_TYPES).index(r[1]["type"]), r[0])))
    resolved = {
        **config,
        "corpus": {**config["corpus"], "split_by": _split_by(**config["corpus"])},
        "probes": {**config["probes"], "prompts": _prompts(config["probes"]["prompts"], config["examples"]["task"])},
        "report": _report(config["report"], config["corpus"]["language"]),
        "policies": _in_order(policies),
        "reward_models": ordered,
        **({"trainers": trainers} if trainers else {}),
    }
    check_design(resolved)
    return resolved


def _split_by(*, split_by: str | None, repository_column: str | None, source: str, **_) -> str:
    return split_by or ("repository" if repository_column else SOURCES[source].split_by)


def _prompts(prompts: list[str] | None, task: str) -> list[str]:
    """The prompt conditions: those that the config names, else the default ones that are another prompt in the task."""
    return [p for p in DEFAULTS if TASKS[task].shows_suffix or p not in SHOWS_SUFFIX] if prompts is None else prompts


def _report(report: dict, language: str) -> dict:
    """The settings of the report; what cannot be measured, as whether text parses, has no limit."""
    return report if language != TEXT else {**report, "collapse_limits": {**report["collapse_limits"], "parses_drop": None}}


def _merged(config: dict, section: str, *, noun: str, key: str, defaults: str, registry: dict) -> dict:
    """Each entry of a section that is not null, over the defaults of its method or type, over those of `training`."""
    complete = {}
    for name, entry in registry.items():
        shared = {k: v for k, v in config["training"].items() if k in schema_of(entry.settings)["properties"]}
        complete[name] = {**shared, **config[defaults][name]}
        schema.check(complete[name], schema.of_entry(entry), where=f"{defaults}.{name}")
    merged = {}
    for name, entry in config[section].items():
        if entry is not None:
            names.check_entry(section, name, noun)
            _check_kind(name, entry, section=section, key=key, choices=list(registry))
            whole = {**complete[entry[key]], **entry}
            schema.check(whole, schema.of_entry(registry[entry[key]]), where=f"{section}.{name}")
            merged[name] = without_defaults(registry[entry[key]].settings, whole)
    return merged


def _check_taken_up(config: dict) -> None:
    """Raise InputError for a setting of `training` that changes nothing, as everything that knows it has a value of its own."""
    for key in config["training"]:
        knowing = {
            f"{section}.{name}": key in config[section][name]
            for section, registry in {"methods": METHODS, "reward_types": REWARD_TYPES}.items()
            for name, entry in registry.items()
            if key in schema_of(entry.settings)["properties"]
        }
        if all(knowing.values()):
            raise InputError(f"config: training.{key} would change nothing, as each of {', '.join(knowing)} has its own; set it there")


def _check_kind(name: str, entry, *, section: str, key: str, choices: list[str]) -> None:
    if not isinstance(entry, dict) or key not in entry:
        raise InputError(f"config: {section}.{name} needs a {key}; add `{key}:` with one of {', '.join(choices)}")
    if entry[key] not in choices:
        raise InputError(f"config: {section}.{name}.{key} is {entry[key]!r}; choose one of {', '.join(choices)}")


def _in_order(policies: dict) -> dict:
    """Parents first, then by method and name: the order in an overlay's file is not the order of the tables."""
    return dict(sorted(policies.items(), key=lambda p: (len(lineage(policies, p[0])), list(METHODS).index(p[1]["method"]), p[0])))
