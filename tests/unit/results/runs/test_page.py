"""The page of several runs loads nothing, and shows names as names."""

import re
import subprocess
import sys

import pandas as pd
import pytest

from tests.unit.results.runs.two_runs import ONE, lay
from workflow_scripts import compare as command
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness.code import ROOT


def test_it_writes_one_page_that_loads_nothing_and_its_tables(two):
    page = command.compare(two)
    assert page == two[0].parent / "compare" / "one--other" / "index.html"
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", text) and "<script" not in text and "default-src &#39;none&#39;" in text
    rows = pd.read_csv(page.parent / "policies.csv")
    wanted = {("one", "sft"), ("one", "sft_chosen"), ("one", "ppo"), ("other", "sft"), ("other", "ppo_kl_0.2"), ("other", "ipo")}
    assert set(zip(rows["run"], rows["policy"], strict=True)) == wanted
    assert {"perplexity_low", "mean_reward_high", "rate", "low", "rl_prompt_rate"} <= set(rows.columns)
    config = pd.read_csv(page.parent / "config.csv").set_index("key")
    assert (
        config.loc["policies.ppo.kl_coef", "one"] == "0.05" and "run" not in config.index and "report.reference_policy" not in config.index
    )


@pytest.mark.parametrize("folders", [[], ["one"], ["one", "one"]])
def test_it_needs_two_different_runs(two, folders):
    with pytest.raises(InputError, match="two"):
        command.compare([two[0] for _ in folders])


def test_names_must_fit_into_the_name_of_one_folder(tmp_path):
    with pytest.raises(InputError, match="^the names of these 3 runs are too long for the name of one folder; compare fewer at a time$"):
        command.compare([tmp_path / (letter * 100) for letter in "abc"])


def test_names_are_shown_and_never_become_markup(tmp_path):
    evil = "<img src=x>"
    folders = [lay(tmp_path / "one", ONE), lay(tmp_path / evil, ONE)]
    text = command.compare(folders).read_text(encoding="utf-8")
    assert evil not in text and "&lt;img src=x&gt;" in text


def test_the_command_needs_no_torch(two):
    code = f"import sys; from workflow_scripts import compare as c; from pathlib import Path; c.compare([Path(p) for p in {[str(f) for f in two]}])"
    code += "; sys.exit('torch' in sys.modules or 'transformers' in sys.modules or 'snakemake' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
