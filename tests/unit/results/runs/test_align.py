"""Runs side by side: two small ones on disk whose difference is known."""

import pytest

from tests.unit.results.runs.two_runs import ONE, OTHER, REPORT, canaries, lay
from workflow_scripts import compare as command
from workflow_scripts.core.results.runs import align, load


def test_namesakes_and_else_the_first_of_the_same_method_are_paired_on_the_same_canaries(two):
    runs = [load.read(folder) for folder in two]
    assert sorted(align.matched(*runs)) == [("ppo_kl_0.2", "ppo"), ("sft", "sft")]  # no ipo in the first
    rows = {(c["policy"], c["cohort"]): c for c in align.paired(runs, REPORT) if c["measure"] == "memorized"}
    same, more = rows["sft (other)", "sft"], rows["ppo_kl_0.2 (other)", "preference"]
    assert (same["difference"], same["p"], same["n"]) == (0, 1, 32)
    assert (more["other"], more["difference"]) == ("ppo (one)", 23 / 32)  # as sft_chosen: 1 + 6 + 8 + 8 of 32, where ppo has none
    assert more["p"] < 1e-6 and more["p_holm"] == pytest.approx(12 * more["p"], rel=0.2)  # two endpoints, two pairs, three cohorts


def test_other_canaries_are_counted_and_not_paired(tmp_path):
    changed = canaries()
    changed[0]["target"] = "another"
    folders = [lay(tmp_path / "one", ONE), lay(tmp_path / "other", OTHER, rows=changed)]
    runs = [load.read(folder) for folder in folders]
    assert align.paired(runs, REPORT) == []
    n = len(changed)
    assert align.unpaired(*runs).startswith(f"other and one share {n - 1} of {n} canaries")
    text = command.compare(folders).read_text(encoding="utf-8")
    assert (
        f"other and one share {n - 1} of {n} canaries" in text
        and "canaries.seed" in text
        and "No policies of these runs are paired." in text
    )


def test_three_runs_are_compared_with_the_first(tmp_path):
    folders = [lay(tmp_path / name, ONE) for name in ("a", "b", "c")]
    runs = [load.read(folder) for folder in folders]
    assert {c["other"].split()[1] for c in align.paired(runs, REPORT)} == {"(a)"}
    assert command.compare(folders).parent.name == "a--b--c"


def test_config_keys_that_differ_are_listed_with_their_values():
    rows = align.differing({"a": {"x": {"y": 1, "z": [2]}, "run": "a"}, "b": {"x": {"y": 1.5, "z": [2]}, "run": "b", "w": {}}})
    assert rows == [{"key": "w", "a": None, "b": {}}, {"key": "x.y", "a": 1, "b": 1.5}]
