"""What a scheduler is asked for, job by job: accelerators, one for each worker; memory and time that the estimate says, with room."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

from ..config.design import entries
from ..data import model_packages, model_source
from ..errors import InputError
from ..freshness import content
from ..lm.model_files import fetched
from ..user_files import is_folder, user_path
from . import cost, shapes, work

GPU_SPEED = 200  # a card's rate over that of a thread: 31 TFLOP/s in bf16, a tenth of what one of 2020 has for dense matrices


class Requests:
    """The requests of a run's jobs by its resolved config; `cards`: how many accelerators it may hold, for jobs with a model; 0 for none.

    Raises InputError where a job wants more of them. Where the size of a model is not known without fetching it, a profile's `default-resources`
    say how much memory and time jobs may take.
    """

    def __init__(self, config: dict, *, cards: int):
        self.config, self.gpu = config, bool(cards)
        if cards:
            self._check(cards)

    def _check(self, cards: int) -> None:
        """Raise InputError where a job has more workers than the run has accelerators: it would get fewer than it has workers."""
        for key, entry in {**entries(self.config), "probes": self.config["probes"]}.items():
            if (workers := entry.get("workers") or 1) > cards:
                where = self._written_at(key, entry)
                raise InputError(
                    f"{where}.workers: {workers} processes need a GPU each, and this run has `resources: [gpu={cards}]`; lower the one, or raise the other"
                )

    def _written_at(self, key: str, entry: dict) -> str:
        """Where an entry has its number of workers from: what is shared by many, where that says the same."""
        section, kind = ("methods", entry["method"]) if "method" in entry else ("reward_types", entry.get("type"))
        shared = {f"{section}.{kind}": self.config[section].get(kind) or {}, "training": self.config["training"]} if kind else {}
        return next((place for place, settings in shared.items() if settings.get("workers") == entry["workers"]), key)

    def of(self, rule: str) -> dict[str, Callable]:
        """Resources of a rule, functions of the wildcards."""
        asked = {"gpu": functools.partial(self.cards, rule), "workers": functools.partial(self.workers, rule)}
        return asked | self.of_machine(rule)

    def cards(self, rule: str, wildcards) -> int:
        """Accelerators of a job: one for each worker, none where a reward has no network to read."""
        judge = {"score_rewards": self.config["report"]["reward_model"], "judge_pairs": getattr(wildcards, "judged", None)}.get(rule)
        reads = judge is None or work.networks_of(self.config, judge)
        return self.workers(rule, wildcards) if self.gpu and reads else 0

    def of_machine(self, rule: str) -> dict[str, Callable]:
        """Memory and time of a rule, functions of the wildcards; nothing where they are not known."""
        return {key: functools.partial(self._ask, rule, key) for key in ("mem_mb", "runtime")} if self.table else {}

    def workers(self, rule: str, wildcards) -> int:
        """Processes of a job."""
        for section, wildcard in (("policies", "policy"), ("reward_models", "reward")):
            if rule.startswith("train_") and hasattr(wildcards, wildcard):
                return self.config[section][getattr(wildcards, wildcard)].get("workers", 1)
        return self.config["probes"]["workers"] if rule in work.SHARED else 1

    def threads(self, rule: str, wildcards) -> int:
        """Threads of all workers of a job."""
        name = getattr(wildcards, "policy", None) or getattr(wildcards, "reward", None)
        entries = self.config["policies"] | self.config["reward_models"]
        own = entries[name] if rule.startswith("train_") else self.config["probes"]
        return own.get("threads", 1) * self.workers(rule, wildcards)

    def _ask(self, rule: str, key: str, wildcards) -> int:
        name = getattr(wildcards, "policy", None) or getattr(wildcards, "reward", None) or getattr(wildcards, "judged", "")
        return (self.table.get((rule, name)) or self.table[rule, ""])[key]

    @functools.cached_property
    def table(self) -> dict[tuple[str, str], dict[str, int]]:
        """{(rule, policy or reward model): request}; empty where a size is not known."""
        sizes = {
            name: known(self.config["model"], policy) for name, policy in self.config["policies"].items() if policy["method"] == "base"
        }
        if None in sizes.values():
            return {}
        times = GPU_SPEED if self.gpu else 1
        machine = cost.Machine(cores=1, fp32=times * cost.FP32, bf16=times * cost.BF16, gpu=self.gpu)
        return {(w.rule, w.name): cost.request(cost.cost(w, sizes=sizes, machine=machine)) for w in work.works(self.config)}


def known(model: dict, policy: dict) -> shapes.Model | None:
    """The size of a base policy's model, as far as files that are here say it."""
    settings = {**model, **{key: policy[key] for key in policy.keys() & model.keys()}}
    if settings["base"] == "scratch":
        return shapes.scratch(**settings)
    try:
        last = model_source.chain(settings["base"])[-1]
        place = model_packages.place(last) if model_packages.is_package(last) else user_path(last, "model.base")
        if is_folder(place):
            return shapes.of_config(model_source.read_json(place / "config.json"))
        if place.is_file():
            return shapes.of_config(json.loads(content.remembered(place, "config", lambda: _config(place))))
        return shapes.of_config(model_source.read_json(cached)) if (cached := fetched(last, settings["revision"])) else None
    except (InputError, OSError, ValueError):  # said where the model is checked
        return None


def _config(file: Path) -> str:
    from ..data import gguf_files

    sizes = gguf_files.config(file).to_dict()
    return json.dumps({key: value for key, value in sizes.items() if isinstance(value, int | str | bool)})
