"""Rules say whether their jobs want an accelerator, profiles how many there are. No profile lists rules, so none can be forgotten."""

import re

import pytest
import yaml
from yte import process_yaml

from tests.conftest import ROOT
from workflow_scripts.core.freshness.code import closure
from workflow_scripts.core.methods import METHODS

PROFILES = {path.parent.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "profiles").glob("*/config.yaml")}
MECHANISM = ("rerun-triggers", "ignore-incomplete", "max-checksum-file-size", "__use_yte__", "__definitions__")
ELSEWHERE = {name: {"path": "trained/{arm}"} for name, method in METHODS.items() if method.learns_from == "elsewhere"}
EVERY_METHOD = {name: {"method": name, "parent": "sft", **ELSEWHERE.get(name, {})} for name in METHODS if name not in ("base", "sft")}
REWARDS = {"soft": {"type": "smoothed", "parent": "sft"}, "length": {"type": "length_only"}}


def gpus(run) -> dict[str, set[str]]:
    """{rule: what its jobs ask for} of a dry run; an empty string where they ask for nothing."""
    assert run.returncode == 0, run.stdout + run.stderr
    blocks = re.findall(r"^rule (\w+):\n((?: {4}.*\n)*)", run.stdout + run.stderr, re.MULTILINE)
    asked: dict[str, set[str]] = {}
    for rule, block in blocks:
        resources = re.search(r"^ +resources: .*?(?:\bgpu=(\d+))?(?:,.*)?$", block, re.MULTILINE)
        asked.setdefault(rule, set()).add(re.search(r"\bgpu=(\d+)", block)[1] if "gpu=" in block else "")
        assert resources
    return asked


def reads_torch(rule: str) -> bool:
    """Whether a rule's script computes with a model: its code imports the module that loads one, and not only to check what it copies."""
    copies = rule.removeprefix("train_") in ELSEWHERE
    return not copies and "workflow_scripts/core/lm/models.py" in closure(f"workflow_scripts/{rule}.py")


@pytest.mark.parametrize(("profile", "count"), [("default", "0"), ("gpu", "1")])
def test_every_job_that_loads_a_model_asks_for_an_accelerator_and_no_other(workflow, profile, count):
    overlay = {"policies": EVERY_METHOD, "reward_models": REWARDS}
    asked = gpus(workflow("--dry-run", "--workflow-profile", str(ROOT / "profiles" / profile), overlay=overlay))
    assert {f"train_{name}" for name in METHODS} <= asked.keys()
    assert asked.pop("judge_pairs") == {count, "0"}  # a reward of length alone has no network
    assert {rule for rule, found in asked.items() if found == {count}} == {rule for rule in asked if rule != "all" and reads_torch(rule)}
    assert all(found == {""} for rule, found in asked.items() if rule == "all" or not reads_torch(rule))


def rules_of(files: str) -> list[str]:
    return re.findall(r"^rule (\w+):", "".join(p.read_text(encoding="utf-8") for p in (ROOT / "rules").glob(files)), re.MULTILINE)


def test_on_slurm_quick_jobs_of_every_kind_go_together_with_what_the_default_profile_gives_them(monkeypatch):
    monkeypatch.chdir(ROOT)
    slurm = process_yaml((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    groups = dict(entry.split("=") for entry in slurm["groups"])
    pages = {path.stem for path in (ROOT / "workflow_scripts").glob("*_*.py") if re.match("summarize|plot|render", path.stem)}
    assert groups == dict.fromkeys(rules_of("corpus.smk"), "data") | dict.fromkeys(pages, "pages") and len(groups) > 30
    assert slurm["set-resources"].keys() == groups.keys()
    memory = {f"mem_mb={resources['mem_mb']}" for resources in slurm["set-resources"].values()}
    assert memory < {*PROFILES["default"]["default-resources"]}


def test_profiles_name_no_rule_and_agree_on_the_mechanism():
    rules = rules_of("*.smk")
    assert PROFILES.keys() == {"default", "gpu", "slurm"} and len(rules) > 15
    for name, settings in PROFILES.items():
        settings["__definitions__"] = settings["__definitions__"][:1]
        assert {key: settings[key] for key in MECHANISM} == {key: PROFILES["default"][key] for key in MECHANISM}
        assert settings.keys() & {"resources", "default-resources"} == {"resources", "default-resources"}, name
        text = (ROOT / f"profiles/{name}/config.yaml").read_text(encoding="utf-8")
        assert not [rule for rule in [*rules, *(f"train_{m}" for m in METHODS)] if re.search(rf"\b{rule}\b", text)]
