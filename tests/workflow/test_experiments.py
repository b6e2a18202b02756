"""Every experiment is one overlay that plans a whole run, says what it answers, and is in the README's table."""

import re

import pytest
import yaml
from snakemake.utils import update_config

from tests.conftest import ROOT
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.errors import InputError

OVERLAYS = sorted((ROOT / "experiments").iterdir())
WORDS = {"# Question: ", "# Read: ", "# Time: "}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_plans_a_whole_run(workflow, overlay):
    result = workflow("--dry-run", "--configfile", str(overlay), tiny=False)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said[-3000:]
    entries = {"sft": True, "ppo": True} | yaml.safe_load(overlay.read_text(encoding="utf-8")).get("policies", {})
    policies = {policy for policy, entry in entries.items() if entry}
    planned = set(re.findall(rf"results/{overlay.stem}/extraction/(\S+)\.parquet", said))
    assert policies <= planned and f"results/{overlay.stem}/report.html" in said


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_is_named_as_its_run_and_says_what_it_is_for(overlay):
    text, readme = overlay.read_text(encoding="utf-8"), (ROOT / "README.md").read_text(encoding="utf-8")
    assert overlay.suffix == ".yaml" and yaml.safe_load(text)["run"] == overlay.stem
    head = re.match(r"(?:#.*\n)+", text)[0]
    assert all(head.count(word) == 1 for word in WORDS)
    assert len(re.findall(rf"^\| \[?`{overlay.stem}`(?:\]\(\S+\))? \|.*\|.*\|$", readme, re.MULTILINE)) == 1


def test_readme_names_no_experiment_that_is_not_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| experiment |") :].split("\n\n")[0]
    assert set(re.findall(r"^\| \[?`(\w+)`", table, re.MULTILINE)) == {path.stem for path in OVERLAYS}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_is_checked_against_the_schema(overlay):
    misspelt = re.sub(r"^(\w+)(\w):", r"\1\2\2:", overlay.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
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
