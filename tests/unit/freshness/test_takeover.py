"""A run takes over what another one has made if nothing that decides freshness differs, and never anything else."""

import json
import os
from pathlib import Path

import pytest

from tests.unit.freshness.runs import SCRIPT, STAGES, artifact, make, planned
from workflow_scripts.core.freshness import receipts, takeover
from workflow_scripts.core.freshness.content import md5, was_made_here
from workflow_scripts.core.freshness.record import alone


def taken(run: str, write: bool = True, **settings: int) -> list[str]:
    """The stages that a run takes over."""
    plan, jobs = planned(run, **settings)
    takeover.take_over(plan=plan, jobs=jobs, receipts_folder=Path(f"results/{run}/receipts"), write=write)
    if write:
        assert not list(Path("results").rglob(".tmp-*"))
        assert [j.outdated for j in planned(run, **settings)[1]] == [j.outdated for j in jobs]  # as another start would see it
    return [job.rule for job in jobs if job.taken]


def tree(folder: str) -> dict:
    """{path: (content, time, inode)} of all files."""
    stats = {p: p.stat() for p in Path(folder).rglob("*") if p.is_file()}
    return {p: (p.read_bytes(), s.st_mtime_ns, s.st_ino) for p, s in stats.items()}


def edit_receipt(path: str, change) -> None:
    receipt = json.loads(Path(path).read_text())
    change(receipt)
    Path(path).write_text(json.dumps(receipt))


def test_a_whole_chain_with_its_receipts(here, capsys):
    make("old")
    before = tree("results/old")
    assert taken("new") == list(STAGES)
    assert capsys.readouterr().err == "canaryflow: 3 jobs of run old taken over\n"
    assert tree("results/old") == before
    for stage in STAGES:
        assert md5(artifact("new", stage)) == md5(artifact("old", stage)) and was_made_here(
            artifact("new", stage), md5(artifact("old", stage))
        )
        receipt = Path(f"results/new/receipts/{stage}/A.json").read_text()
        assert "results/old" not in receipt and '"run": "old"' not in receipt
        assert json.loads(receipt)["made"] == {"taken_from": "old", "wall_s": 200.0, "versions": {"python": "3.11.7"}}
    assert taken("new") == [] and capsys.readouterr().err == ""


def test_nothing_that_one_run_does_to_a_copy_reaches_the_other(here):
    make("old")
    before = tree("results/old")
    taken("new")
    for path in (p for p in Path("results/new").rglob("*") if p.is_file()):
        with open(path, "a") as stream:
            stream.write("changed in place")
        os.utime(path, (1, 1))
    assert tree("results/old") == before


def test_from_whom_a_run_took_over_says_who_made_it(here):
    make("old")
    taken("middle")
    Path("results/old/receipts/train/A.json").unlink()
    assert taken("new") == list(STAGES)
    assert receipts.read("results/new/receipts/train/A.json")["made"]["taken_from"] == "old"


def test_a_dry_run_writes_nothing_and_counts_the_same(here, capsys):
    make("old")
    make("new", train=2)
    before = tree("results")
    assert taken("new", write=False) == ["train", "probe"]
    assert "2 jobs of run old would be taken over, though Snakemake lists them below" in capsys.readouterr().err
    assert tree("results") == before
    assert taken("new") == ["train", "probe"]


@pytest.mark.parametrize(("changed", "left"), [("collect", []), ("train", ["collect"]), ("probe", ["collect", "train"])])
def test_another_setting_is_not_taken_nor_what_depends_on_it(here, changed, left):
    make("old", **{changed: 2})
    assert taken("new") == left
    assert not any(Path(artifact("new", stage)).exists() for stage in STAGES if stage not in left)


def other_code(receipt):
    receipt["code"][SCRIPT] = "0" * 32


def other_input(receipt):
    receipt["inputs"]["before"] = dict.fromkeys(receipt["inputs"]["before"], "0" * 32)


def other_rule(receipt):
    receipt["rule"] = "train_otherwise"


def other_arm(receipt):
    receipt["wildcards"]["arm"] = "B"


def one_more_output(receipt):
    receipt["outputs"]["more"] = receipt["outputs"]["made"]


def in_part(receipt):
    del receipt["made"]


@pytest.mark.parametrize("change", [other_code, other_input, other_rule, other_arm, one_more_output, in_part], ids=lambda f: f.__name__)
def test_a_receipt_that_differs_in_anything_that_decides_freshness(change):
    make("old")
    edit_receipt("results/old/receipts/train/A.json", change)
    assert taken("new") == ["collect"]


@pytest.mark.parametrize("harm", ["damaged", "gone", "one file more"])
def test_artifacts_that_are_not_what_their_receipt_says(here, harm):
    make("old")
    weights = Path(artifact("old", "train"), "weights")
    (weights.with_name("more") if harm == "one file more" else weights).write_text("other bytes")
    if harm == "gone":
        weights.unlink(), weights.parent.rmdir()
    assert taken("new") == ["collect"] and not Path(artifact("new", "train")).exists()


def test_a_source_that_changes_while_it_is_copied(here, monkeypatch):
    make("old")
    copy = takeover._copy

    def torn(source, target):
        copy(source, target)
        (target / "weights" if target.is_dir() else target).write_text("half")

    monkeypatch.setattr(takeover, "_copy", torn)
    assert taken("new") == [] and not Path("results/new/receipts").exists()


@pytest.mark.parametrize("until", ["copied", "published"])
def test_a_kill_in_the_middle_leaves_nothing_that_counts(here, monkeypatch, until):
    """The old receipt stays until the new one is there, and does not fit an artifact that was replaced; the next start takes over again."""
    make("old")
    make("new", collect=2)
    at = "remember_made" if until == "published" else "md5"

    def killed(path):
        if until == "published" or str(path).startswith("results/new"):
            raise KeyboardInterrupt
        return md5(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(takeover, at, killed)
        taken("new")
    collect = receipts.read("results/new/receipts/collect/A.json")
    assert (receipts.files(collect["outputs"]) == {path: md5(path) for path in [artifact("new", "collect")]}) == (until == "copied")
    assert [job.outdated for job in planned("new", collect=2)[1]] == [until == "published"] * 3
    assert [job.outdated for job in planned("new")[1]] == [True, True, True]
    assert taken("new") == list(STAGES)


def test_a_full_disk_leaves_the_job_to_run(here, monkeypatch):
    make("old")
    monkeypatch.setattr(takeover, "remember_made", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert taken("new") == [] and not Path("results/new/receipts/collect/A.json").exists()


def test_a_job_that_somebody_runs_is_left_alone(here):
    make("old")
    with alone("collect-new-A"):
        assert taken("new") == []
    assert taken("new") == list(STAGES)


def test_links_to_a_cache_become_files(here):
    make("old")
    cached, link = Path("cache"), Path(artifact("old", "collect"))
    link.rename(cached)
    cached.chmod(0o444)
    link.symlink_to(cached.absolute())
    assert taken("new") == list(STAGES)
    copy = Path(artifact("new", "collect"))
    assert not copy.is_symlink() and copy.stat().st_ino != cached.stat().st_ino and copy.stat().st_mode & 0o200


def test_switched_off(here, monkeypatch):
    make("old")
    monkeypatch.setenv(takeover.SWITCH, "0")
    assert taken("new") == []


def test_where_nothing_is_stale_no_other_run_is_looked_at(here, monkeypatch):
    make("old"), make("new")
    monkeypatch.setattr(takeover, "_offered", None)  # a call would be a TypeError
    assert taken("new") == []
