"""What a job records of itself, when it need not run, and who may run it."""

import errno
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, OutputFiles, Params, ResourceList, Wildcards

from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness import receipts, record
from workflow_scripts.core.freshness.code import ROOT, closure, digest
from workflow_scripts.core.freshness.content import md5, was_made_here

SCRIPT = "workflow_scripts/collect_corpus.py"
LONG_AGO = time.time() - 3600
RECEIPTS, NAME = Path("results/one/receipts"), "train-one-A"
OUTPUTS = {"model": Path("results/one/model"), "log": Path("results/one/log.txt")}


def started(setting: int = 1, source: bytes | None = None) -> record.Record:
    """The record of a job that has just started; its script is one of ours."""
    snakemake = SimpleNamespace(
        rule="train",
        input=InputFiles(fromdict={"rows": ["rows/a.txt", "rows/b.txt"], "parent": "parent", "freshness": ".canaryflow/stale"}),
        output=OutputFiles(fromdict={**{k: str(v) for k, v in OUTPUTS.items()}, "receipt": str(RECEIPTS / "train/A.json")}),
        params=Params(fromdict={"config": {"policies.sft": {"epochs": setting}}}),
        wildcards=Wildcards(fromdict={"run": "one", "arm": "A"}),
        resources=ResourceList(fromdict={}),
    )
    return record.Record(snakemake, NAME)


@pytest.fixture(autouse=True)
def inputs(here, monkeypatch):
    """Files that the job reads; and the script, as Snakemake starts it."""
    for path in ("rows/a.txt", "rows/b.txt", "parent/weights"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(path)
    born = time.time() + 60  # later than any edit that somebody makes while this test runs
    monkeypatch.setattr(record.adapter, "running_script", lambda: (ROOT / SCRIPT, born))
    monkeypatch.setattr(record.adapter, "running_source", lambda: (ROOT / SCRIPT).read_bytes())
    monkeypatch.setattr(record, "loaded", set)


def finish(job: record.Record) -> dict:
    """Write the outputs and the receipt; returns the receipt."""
    (OUTPUTS["model"]).mkdir(parents=True, exist_ok=True)
    (OUTPUTS["model"] / "meta.json").write_text(json.dumps(dict(steps=3, tokens=9, gpu_peak_mb=None, other=1)))
    OUTPUTS["log"].write_text("x")
    job.check()
    job.close(OUTPUTS)
    return receipts.read(job.receipt)


# ------------------------------------------------------------------------------------------------------------------ receipts


def test_a_receipt_holds_the_declaration_the_code_and_the_hash_of_every_file():
    job = started()
    receipt = finish(job)
    assert receipt["inputs"] == {"rows": {p: md5(p) for p in ("rows/a.txt", "rows/b.txt")}, "parent": {"parent": md5("parent")}}
    assert receipt["outputs"] == {key: {str(path): md5(path)} for key, path in OUTPUTS.items()}
    assert receipt["code"] == {module: digest(module) for module in closure(SCRIPT)} and list(receipt["code"]) == sorted(receipt["code"])
    assert receipt["config"] == {"policies.sft": {"epochs": 1}} and receipt["wildcards"] == {"run": "one", "arm": "A"}
    assert (receipt["rule"], receipt["script"], receipt["version"]) == ("train", SCRIPT, 2)
    assert {k: receipt["made"][k] for k in ("steps", "tokens", "gpu_peak_mb")} == dict(steps=3, tokens=9, gpu_peak_mb=None)
    assert receipts.changes(receipt, job.declared) == []
    assert all(was_made_here(str(path), md5(path)) for path in OUTPUTS.values())


def test_an_input_that_changes_while_the_job_runs_stops_it():
    for change in (lambda: Path("rows/a.txt").write_text("other"), lambda: Path("rows/a.txt").unlink()):
        job = started()
        change()
        with pytest.raises(InputError, match="its input rows/a.txt changed while it ran; run snakemake again"):
            finish(job)


def test_code_that_was_edited_while_the_job_started_stops_it(monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(InputError, match=f"{SCRIPT} was edited while the job started; run snakemake"):
        patch.setattr(record.adapter, "running_source", lambda: b"# another")
        started()
    monkeypatch.setattr(record.adapter, "running_script", lambda: (ROOT / SCRIPT, 0.0))
    with pytest.raises(InputError, match=f"{SCRIPT}.* was edited while the job started; run snakemake"):
        started()


def test_a_module_that_the_job_imports_late_is_in_the_receipt(monkeypatch):
    late = "workflow_scripts/core/data/words.py"
    job = started()
    assert late not in job.code
    monkeypatch.setattr(record, "loaded", lambda: {late})
    assert finish(job)["code"][late] == digest(late)


# ------------------------------------------------------------------------------------------------------- early cut-off


def finished(*, must_run: list[str] | None = ()) -> None:
    """A job that has run, and the note of the next run."""
    finish(started())
    for path in (*OUTPUTS.values(), RECEIPTS / "train/A.json"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    if must_run is not None:
        record.note_what_must_run(RECEIPTS, list(must_run))


def test_a_job_whose_inputs_came_out_the_same_need_not_run_and_its_outputs_are_new():
    finished(must_run=["train-one-B"])
    job = started()
    assert job.is_unchanged()
    artifacts = [*OUTPUTS.values(), RECEIPTS / "train/A.json"]
    assert all(path.stat().st_mtime > LONG_AGO + 1 for path in artifacts), "Snakemake expects so of a job that ended"


@pytest.mark.parametrize("must_run", [None, [NAME], ["train-one-B", NAME]])
def test_a_job_with_a_reason_of_its_own_runs_and_every_job_where_nobody_noted_reasons(must_run):
    finished(must_run=must_run)
    assert not started().is_unchanged()


@pytest.mark.parametrize("note", ["", "{", "\udcff"])
def test_a_damaged_note_lets_every_job_run(note):
    finished()
    Path(".canaryflow/must_run/one.json").write_bytes(note.encode("utf-8", "surrogateescape"))
    assert not started().is_unchanged()


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("rows/b.txt").write_text("other"),
        lambda: OUTPUTS["log"].write_text("other"),
        lambda: OUTPUTS["log"].unlink(),
        lambda: (OUTPUTS["model"] / "meta.json").write_text("{}"),
        lambda: (RECEIPTS / "train/A.json").unlink(),
        lambda: (RECEIPTS / "train/A.json").write_text("{"),
    ],
    ids=["input", "output", "output gone", "file of a folder", "no receipt", "damaged receipt"],
)
def test_a_job_runs_where_anything_differs(change):
    finished()
    assert started().is_unchanged()
    change()
    assert not started().is_unchanged()


def test_a_job_runs_where_its_settings_or_its_code_differ(monkeypatch):
    finished()
    assert not started(setting=2).is_unchanged()
    with monkeypatch.context() as patch:
        patch.setattr(record, "digest", lambda module: "0" * 32 if module == SCRIPT else digest(module))
        assert not started().is_unchanged()
    assert started().is_unchanged()


# ------------------------------------------------------------------------------------------------------------- cost, locks


def test_the_time_of_killed_attempts_counts_up_to_their_last_checkpoint(tmp_path):
    folder = tmp_path / "job" / "key"
    assert record._spent_before(folder, born=1000.0) == 0.0  # nothing before
    for born, saved, spent in ((1000.0, 1060.0, 60.0), (2000.0, 2030.0, 90.0)):
        (folder / "step-10").mkdir(parents=True, exist_ok=True)
        os.utime(folder / "step-10", (saved, saved))
        assert json.loads((folder.parent / "attempt.json").read_text())["born"] == born
        assert record._spent_before(folder, born=born + 1000) == spent


def test_an_attempt_without_a_checkpoint_does_not_count(tmp_path):
    record._spent_before(tmp_path / "job" / "key", born=1000.0)
    assert record._spent_before(tmp_path / "job" / "key", born=5000.0) == 0.0


def test_what_a_job_waits_for_its_cards_is_none_of_its_cost(monkeypatch):
    job = started()
    job.checkpoints.parent.mkdir(parents=True)
    record._spent_before(job.checkpoints, born=job.born)
    job.leave_out(1000.0)
    assert json.loads((job.checkpoints.parent / "attempt.json").read_text())["born"] == job.born + 1000
    monkeypatch.setattr(record.time, "time", lambda: job.born + 1060)
    assert finish(job)["made"]["wall_s"] == pytest.approx(60)


def test_cost_of_a_job_that_resumed_from_a_checkpoint():
    whole, resumed = record._cost(0.0, 0.0), record._cost(0.0, 100.0)
    assert whole["cpu_s"] > 0 and resumed["cpu_s"] is None
    assert resumed["wall_s"] - whole["wall_s"] == pytest.approx(100, abs=5) and whole["peak_memory_mb"] > 10


def test_a_job_runs_alone():
    refused = pytest.raises(InputError, match="another process is still running it")
    with record.alone("train_sft-A"), record.alone("train_sft-B"), refused, record.alone("train_sft-A"):
        pass
    with record.alone("train_sft-A"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_the_file_system_has_no_locks_the_job_runs_without(monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    with record.alone("train_sft-A") as is_held:
        assert is_held
    monkeypatch.setattr(record.fcntl, "flock", refuse)
    with record.alone("train_sft-A") as is_held:
        assert not is_held


def test_any_other_failure_of_a_lock_is_none_of_these(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(record.fcntl, "flock", refuse)
    with pytest.raises(OSError, match="Input/output"), record.alone("train_sft-A"):
        pass


def test_code_from_the_future_is_no_edit_but_a_clock_that_was_set_back(monkeypatch):
    assert record._edited([SCRIPT]) == f"{SCRIPT} was edited while the job started; run snakemake again"
    changed = (ROOT / SCRIPT).stat().st_ctime
    monkeypatch.setattr(record.time, "time", lambda: changed - 600)
    assert record._edited([SCRIPT]).startswith(f"{SCRIPT} was changed 600 s in the future, so the clock was set back; set it right, or")
