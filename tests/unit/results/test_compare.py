"""Runs side by side: two small ones on disk whose difference is known."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from tests.unit.results import synthetic
from workflow_scripts import compare as command
from workflow_scripts.core import parquet
from workflow_scripts.core.data.schemas import CANARIES
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness import receipts
from workflow_scripts.core.freshness.code import ROOT
from workflow_scripts.core.probing.schemas import EVALUATION, EXTRACTION
from workflow_scripts.core.results import comparing, runs

REPORT = dict(reference="sft", confidence=0.95, collapse_ratio=1.5, utility_band=synthetic.BAND)


def canaries(prompt: str = "where = ") -> list[dict]:
    """The canaries of the synthetic study."""
    texts = dict(prefix=prompt, suffix="\n", prompt_ids=[1], target_ids=[2])
    kept = ("canary_id", "kind", "cohort", "dose", "half")
    return [{**{k: c[k] for k in kept}, **texts, "target": f"secret {c['canary_id']}"} for c in synthetic.canaries()]


def lay(folder, policies: dict, *, rows: list[dict] | None = None, seed: int = 0):
    """A finished run in `folder`: its policies are those of the synthetic study that their `as` names, or their own name."""
    for name, policy in policies.items():
        like = policy.get("as", name)
        for kind, schema, make in (("extraction", EXTRACTION, synthetic.extraction), ("evaluation", EVALUATION, synthetic.evaluation)):
            parquet.write(make([like], seeds=(seed,)).assign(policy=name), schema, folder / kind / f"{name}.parquet")
    parquet.write(rows or canaries(), CANARIES, folder / "planted" / "canaries.parquet")
    config = dict(run=folder.name, seeds=[seed], policies=policies, report=REPORT)
    empty = {key: {} for key in ("wildcards", "inputs", "outputs", "params", "code", "input_md5", "output_md5")}
    receipt = dict(rule="render_summary", script="render_summary.py", config=config, made={"versions": {}}, **empty)
    (folder / "receipts").mkdir()
    receipts.write(folder / "receipts" / "render_summary.json", receipt)
    return folder


SFT = dict(base={"method": "base"}, sft={"method": "sft", "parent": "base", "data": "sft"})
ONE = {**SFT, "sft_chosen": {"method": "sft", "parent": "sft", "data": "preference"}, "ppo": {"method": "ppo", "parent": "sft", "kl_coef": 0.05}}
OTHER = {**SFT, "ppo_kl_0.2": {"method": "ppo", "parent": "sft", "kl_coef": 0.2, "as": "sft_chosen"}, "ipo": {"method": "ipo", "parent": "sft"}}


@pytest.fixture
def two(tmp_path):
    return [lay(tmp_path / "one", ONE), lay(tmp_path / "other", OTHER, seed=3)]


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
    assert config.loc["policies.ppo.kl_coef", "one"] == "0.05" and "run" not in config.index and "report.reference" not in config.index


def test_namesakes_and_else_the_first_of_a_kind_are_paired_on_the_same_canaries(two):
    found = [runs.read(folder) for folder in two]
    assert list(comparing.matched(*found)) == [("ppo_kl_0.2", "ppo"), ("sft", "sft")]  # receipts sort names; no ipo in the first
    rows = {(c["policy"], c["cohort"]): c for c in comparing.paired(found, 0.95) if c["measure"] == "memorized"}
    same, more = rows["sft (other)", "sft"], rows["ppo_kl_0.2 (other)", "preference"]
    assert (same["difference"], same["p"], same["n"]) == (0, 1, 32)
    assert (more["other"], more["difference"]) == ("ppo (one)", 23 / 32)  # as sft_chosen: 1 + 6 + 8 + 8 of 32, where ppo has none
    assert more["p"] == pytest.approx(2 * 0.5**23) and more["p_holm"] == pytest.approx(6 * more["p"])


def test_other_canaries_are_counted_and_not_paired(tmp_path):
    changed = canaries()
    changed[0]["target"] = "another"
    folders = [lay(tmp_path / "one", ONE), lay(tmp_path / "other", OTHER, rows=changed)]
    found = [runs.read(folder) for folder in folders]
    assert comparing.paired(found, 0.95) == []
    n = len(changed)
    assert comparing.unpaired(*found).startswith(f"other and one share {n - 1} of {n} canaries")
    text = command.compare(folders).read_text(encoding="utf-8")
    assert (
        f"other and one share {n - 1} of {n} canaries" in text
        and "canaries.seed" in text
        and "No policies of these runs are paired." in text
    )


def test_three_runs_are_held_against_the_first(tmp_path):
    folders = [lay(tmp_path / name, ONE) for name in ("a", "b", "c")]
    found = [runs.read(folder) for folder in folders]
    assert {c["other"].split()[1] for c in comparing.paired(found, 0.95)} == {"(a)"}
    assert command.compare(folders).parent.name == "a--b--c"


def test_config_keys_that_differ_are_listed_with_their_values():
    found = runs.differing({"a": {"x": {"y": 1, "z": [2]}, "run": "a"}, "b": {"x": {"y": 1.5, "z": [2]}, "run": "b", "w": {}}})
    assert found == [{"key": "w", "a": None, "b": {}}, {"key": "x.y", "a": 1, "b": 1.5}]


@pytest.mark.parametrize(
    "damage, wanted",
    [
        (lambda f: (f / "extraction/ppo.parquet").unlink(), "make restore"),
        (lambda f: (f / "planted/canaries.parquet").unlink(), "canaries.parquet is not here (1 files"),
        (lambda f: (f / "receipts/render_summary.json").unlink(), "no finished run"),
        (lambda f: (f / "receipts/render_summary.json").write_text("{"), "no finished run"),
    ],
)
def test_what_is_missing_is_one_sentence_with_the_remedy(two, damage, wanted):
    damage(two[0])
    with pytest.raises(InputError, match=re.escape(wanted)):
        command.compare(two)


def test_a_run_without_a_band_is_refused(two):
    path = two[1] / "receipts" / "render_summary.json"
    receipt = json.loads(path.read_text())
    del receipt["config"]["report"]["utility_band"]
    path.write_text(json.dumps(receipt))
    with pytest.raises(InputError, match="run it again"):
        command.compare(two)


@pytest.mark.parametrize("folders", [[], ["one"], ["one", "one"]])
def test_it_needs_two_different_runs(two, folders):
    with pytest.raises(InputError, match="two"):
        command.compare([two[0] for _ in folders])


def test_names_are_shown_and_never_become_markup(tmp_path):
    evil = "<img src=x>"
    folders = [lay(tmp_path / "one", ONE), lay(tmp_path / evil, ONE)]
    text = command.compare(folders).read_text(encoding="utf-8")
    assert evil not in text and "&lt;img src=x&gt;" in text


def test_the_command_needs_no_torch(two):
    code = f"import sys; from workflow_scripts import compare as c; from pathlib import Path; c.compare([Path(p) for p in {[str(f) for f in two]}])"
    code += "; sys.exit('torch' in sys.modules or 'transformers' in sys.modules or 'snakemake' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
