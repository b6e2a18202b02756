"""Every experiment is one overlay that plans a whole run, says what it answers, and is in the README's table."""

import re
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from tests.conftest import ROOT
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.data.cohorts import PLANTED
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness import snakemake_adapter
from workflow_scripts.core.methods import METHODS
from workflow_scripts.core.results.tables.audit import MOST_CANARIES

OVERLAYS = sorted((ROOT / "experiments").glob("*.yaml"))
WORDS = {"# Question: ", "# Read: ", "# Time: "}


def below(overlay: Path) -> list[Path]:
    """The overlays that one is put on top of, as its first lines say."""
    return [ROOT / name for name in re.findall(r"^# On top of: (\S+)$", overlay.read_text(encoding="utf-8"), re.MULTILINE)]


def merged(*overlays: Path) -> dict:
    return snakemake_adapter.merged([yaml.safe_load(overlay.read_text(encoding="utf-8")) for overlay in overlays])


ALWAYS = ("quick", "methods", "models", "trainers", "corpus_javascript", "pretrained_gpu")  # planned by every run of the tests


@pytest.mark.parametrize(
    "overlay", [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem not in ALWAYS)) for path in OVERLAYS]
)
def test_overlay_plans_a_whole_run(workflow, overlay):
    """One whose corpus has to be fetched first says so, in one sentence, and in its first lines how."""
    overlays = [*below(overlay), overlay]
    config = merged(*overlays)
    result = workflow("--dry-run", "--configfile", *map(str, overlays), tiny=False)
    said = result.stdout + result.stderr
    path = config.get("corpus", {}).get("path")
    if path and not (workflow.folder / path).exists():
        assert result.returncode == 1 and f"corpus.path: {path}" in said and "Traceback" not in said
        assert re.search(r"^# Time: .*(?:\n# .*)*`(npm|python) .*`", overlay.read_text(encoding="utf-8"), re.MULTILINE)
        return
    assert result.returncode == 0, said[-3000:]
    entries = {"sft": True, "ppo": True} | config.get("policies", {})
    policies = {policy for policy, entry in entries.items() if entry}
    planned = set(re.findall(rf"results/{overlay.stem}/extraction/(\S+)\.parquet", said))
    assert policies <= planned and f"results/{overlay.stem}/report.html" in said


@pytest.mark.parametrize(
    "overlay", [ROOT / "config.yaml", *(path for path in OVERLAYS if not path.stem.endswith("pilot"))], ids=lambda p: p.stem
)
def test_canaries_are_at_most_fifteen_percent_of_what_any_stage_trains_on(overlay):
    """By arithmetic: half a cohort is planted in an arm, each dose as often as the others; methods with rollouts are also shown preference prompts."""
    config = merged(ROOT / "config.yaml", *below(overlay), overlay)
    canaries, pools = config["canaries"], config["corpus"]["pools"]
    planted = {name: canaries["cohorts"][name] // 2 * sum(canaries["doses"]) / len(canaries["doses"]) for name in PLANTED}
    shares = {name: rows / (rows + pools[name]) for name, rows in planted.items()}
    for method in ("ppo", "rloo", "online_dpo"):
        more = canaries["cohorts"]["preference"] // 2 * config["methods"][method]["preference_prompts"]
        shares[method] = (planted["rl_prompt"] + more) / (planted["rl_prompt"] + more + pools["rl_prompt"])
    assert max(shares.values()) <= MOST_CANARIES == 0.15, shares


@pytest.mark.parametrize("overlay", [ROOT / "config.yaml", *OVERLAYS], ids=lambda path: path.stem)
def test_all_that_learns_from_the_pairs_goes_through_them_equally_often(overlay):
    """Or a comparison of methods would be one of presentations. Label smoothing is left out: its epochs are its rounds."""
    config = merged(ROOT / "config.yaml", *below(overlay), overlay)
    entries = [(config["methods"][e["method"]] | e, METHODS[e["method"]].learns_from) for e in config["policies"].values() if e]
    learning = [e for e, source in entries if source == "pairs" or e.get("data") == "preference"] + [config["reward_types"]["single"]]
    assert {config["training"]["epochs"]} == {e.get("epochs", config["training"]["epochs"]) for e in learning}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_is_named_as_its_run_and_says_what_it_is_for(overlay):
    text, readme = overlay.read_text(encoding="utf-8"), (ROOT / "README.md").read_text(encoding="utf-8")
    assert overlay.suffix == ".yaml" and yaml.safe_load(text)["run"] == overlay.stem
    head = re.match(r"(?:#.*\n)+", text)[0]
    assert all(head.count(word) == 1 for word in WORDS)
    assert len(re.findall(rf"^\| .*`{overlay.stem}`.*\|.*\|$", readme, re.MULTILINE)) == 1


def test_readme_names_no_experiment_that_is_not_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| experiment |") :].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row)}
    assert named == {path.stem for path in OVERLAYS}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_is_checked_against_the_schema(overlay):
    misspelt = re.sub(r"^(\w+)(\w):", r"\1\2\2:", overlay.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    config = merged(ROOT / "config.yaml", *below(overlay))
    update_config(config, yaml.safe_load(misspelt))
    with pytest.raises(InputError, match="^config: unknown key runn; did you mean run[?]$"):
        resolve(config, ROOT / "rules/schemas/config.schema.yaml")


def test_typo_in_an_overlay_is_one_sentence(workflow):
    misspelt = workflow.folder / "mine.yaml"
    misspelt.write_text((ROOT / "experiments/kl_sweep.yaml").read_text(encoding="utf-8").replace("kl_coef", "kl_coeff"), encoding="utf-8")
    result = workflow("--dry-run", "--configfile", str(misspelt), tiny=False)
    said = [line for line in (result.stdout + result.stderr).splitlines() if "config: unknown key" in line]
    assert result.returncode != 0 and len(said) == 1 and "did you mean kl_coef?" in said[0]
    assert "Traceback" not in result.stderr
