"""Another workflow uses this one as a module: with names and a prefix of its own, the same receipts and the same bytes."""

import hashlib
import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.repository import TINY, Run, Started

OUTER = """
configfile: "settings.yaml"

rule all:
    input: "counted.txt"

module canaryflow:
    snakefile: "{project}/Snakefile"
    config: config["canaryflow"]
{prefix}
{use}

rule count:
    input: "{results}/tables/audit.csv"
    output: update("counted.txt")
    script: "count.py"
"""
COUNT = """
import gc

with open(snakemake.input[0]) as table, open(snakemake.output[0], "a") as counted:
    print(len(table.readlines()), "lines; garbage is collected:", gc.isenabled(), file=counted)
"""
WHOLE = "use rule * from canaryflow as canaryflow_*"


class Outer:
    """The other workflow, in a folder beside a copy of the project."""

    def __init__(self, folder: Path, project: Path, *, prefix: str = "", use: str = WHOLE):
        self.folder, self.project = folder, project
        self.results = folder / prefix / "results/tiny"
        folder.mkdir()
        shown = self.results.relative_to(folder).as_posix()
        text = OUTER.format(project=project, use=use, results=shown, prefix=f'    prefix: "{prefix}"' if prefix else "")
        (folder / "Snakefile").write_text(text, encoding="utf-8")
        (folder / "count.py").write_text(COUNT, encoding="utf-8")
        self.settings(**yaml.safe_load((project / TINY).read_text(encoding="utf-8")))

    def settings(self, **overlay) -> None:
        (self.folder / "settings.yaml").write_text(yaml.safe_dump({"samples": [1], "canaryflow": overlay}), encoding="utf-8")

    def __call__(self, *arguments: str, profile: str = "profiles/default") -> Run:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--workflow-profile", str(self.project / profile), *arguments]
        return Started(command, self.folder, {**os.environ}).wait()

    def planned(self, *arguments: str) -> set[str]:
        """The rules that would run, ours by their names in this workflow."""
        run = self("--dry-run", *arguments)
        assert run.status == 0, run.said
        return {*re.findall(r"^(?:local)?rule (\w+):", run.said, re.MULTILINE)} - {"all", "canaryflow_all"}


def test_what_a_run_on_its_own_has_made_is_up_to_date_here_too(finished, tmp_path):
    outer = Outer(tmp_path / "outer", finished.folder)
    finished.fork(tmp_path / "copy")
    (tmp_path / "copy/results").rename(outer.folder / "results")
    assert outer.planned("all", "canaryflow_all") == {"count"}
    tiny = yaml.safe_load((finished.folder / TINY).read_text(encoding="utf-8"))
    outer.settings(**tiny, report={"fpr": 0.1})
    run = outer("--dry-run", "canaryflow_all")
    assert "canaryflow: summarize_membership-tiny is stale: config report.fpr: 0.01 -> 0.1" in run.said, run.said
    planned = {*re.findall(r"^rule (canaryflow_\w+):", run.said, re.MULTILINE)}
    assert "canaryflow_summarize_membership" in planned and not [rule for rule in planned if re.search("train|probe", rule)]


BAD = {
    "some of the rules": ("use rule plot_workflow from canaryflow as drawn", {}, "use rule * from"),
    "a rule with another input": (
        f"{WHOLE}\nuse rule plot_workflow from canaryflow as canaryflow_plot_workflow with:\n    threads: 2",
        {},
        "in a profile",
    ),
    "a misspelt key": (WHOLE, {"reprot": {}}, "unknown key reprot"),
}


@pytest.mark.parametrize(("use", "overlay", "sentence"), BAD.values(), ids=BAD)
def test_refused_in_a_sentence(finished, tmp_path, use, overlay, sentence):
    outer = Outer(tmp_path / "outer", finished.folder, use=use)
    outer.settings(run="tiny", **overlay)
    run = outer("--dry-run")
    assert run.status and len([said for said in run.sentences if sentence in said]) == 1 and "Traceback" not in run.said, run.said


@pytest.mark.slow
def test_with_a_prefix_it_makes_the_same_bytes_and_leaves_the_others_rules_alone(finished, tmp_path):
    outer = Outer(tmp_path / "outer", finished.folder, prefix="study")
    without = tmp_path / "profile"
    without.mkdir()
    (without / "config.yaml").write_text("ignore-incomplete: true\n", encoding="utf-8")
    run = outer(profile=str(without))
    assert run.status and "copy the lines of profiles/default into it" in run.said and not outer.results.exists()

    run = outer()
    assert run.status == 0, run.said
    assert (outer.folder / "counted.txt").read_text().endswith("garbage is collected: True\n")
    made = [path for path in outer.results.rglob("*.parquet")]
    of_finished = finished.folder / "results/tiny"
    assert len(made) > 10 and not (outer.folder / "results").exists()
    for path in made:
        twin = of_finished / path.relative_to(outer.results)
        assert hashlib.md5(path.read_bytes()).digest() == hashlib.md5(twin.read_bytes()).digest(), path
    assert outer.planned() == set()

    # an old output of theirs is restored after a failure, as Snakemake does it
    before = (outer.folder / "counted.txt").read_text()
    (outer.folder / "count.py").write_text(f"{COUNT}\nraise SystemExit(1)\n", encoding="utf-8")
    assert outer("--forcerun", "count").status and (outer.folder / "counted.txt").read_text() == before
