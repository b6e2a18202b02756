"""A job is judged by the receipt that is valid, its own or the ledger's, and need not run where its inputs came out the same."""

import sys
from pathlib import Path

import pytest

from tests.unit.freshness.runs import SCRIPT, STAGES, artifact, make, planned, receipt
from workflow_scripts.core.freshness import ledger, receipts


def reasons(known: dict | None = None, strict: tuple[str, ...] = (), **settings: int) -> dict[str, list[str]]:
    """Why each stage is stale."""
    plan, jobs = planned("one", known, **settings)
    plan.strict = strict
    return {job.rule: plan.reasons(job) for job in jobs}


def kept() -> dict[str, list[dict]]:
    """The receipts of the run's ledger by path, as reconcile reads them."""
    ledger.write(Path("results/one"))
    return {f"results/one/receipts/{name}": found for name, found in ledger.read_all(Path("results/one")).items()}


def change(stage: str, edit) -> None:
    """Edit a receipt."""
    row = receipts.read(receipt("one", stage))
    edit(row)
    receipts.write(receipt("one", stage), row)


FRESH = dict.fromkeys(STAGES, [])


def test_a_finished_run_is_fresh_and_an_unfinished_one_has_no_receipts():
    assert reasons() == dict.fromkeys(STAGES, ["it has no valid receipt"])
    make("one")
    assert reasons() == FRESH


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda row: row["code"].update({SCRIPT: "0" * 32}), "script collect_corpus.py"),
        (lambda row: row["code"].update({"workflow_scripts/core/parquet.py": "0" * 32}), "module core/parquet.py"),
        (lambda row: row["code"].pop("workflow_scripts/core/errors.py"), "module core/errors.py"),
        (lambda row: row["code"].update({"workflow_scripts/core/gone.py": "0" * 32}), "module core/gone.py is gone"),
        (lambda row: row["config"].update({"train.setting": 2}), "config train.setting: 2 -> 1"),
        (
            lambda row: row["inputs"]["before"].update({"results/one/collect.txt": "0" * 32}),
            "input results/one/collect.txt has other content",
        ),
        (
            lambda row: row["outputs"]["made"].update({"results/one/models/train": "0" * 32}),
            "output results/one/models/train is not what the job wrote: changed, damaged or of another version",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_difference_in_words(edit, words):
    make("one")
    change("train", edit)
    assert reasons() == {**FRESH, "train": [words]}


def test_versions_count_where_the_config_names_them():
    make("one")
    python = ".".join(map(str, sys.version_info[:3]))
    change("probe", lambda row: row["made"].update({"versions": {"python": "3.9.0", "numpy": "0.1"}}))
    assert reasons() == FRESH
    assert reasons(strict=("python",)) == {**FRESH, "probe": [f"version of python: 3.9.0 -> {python}"]}


def test_the_ledger_stands_in_for_receipts_that_are_not_there():
    make("one")
    known = kept()
    for stage in STAGES:
        Path(receipt("one", stage)).unlink()
    assert reasons() == dict.fromkeys(STAGES, ["it has no valid receipt"])
    assert reasons(known) == FRESH
    assert [job.recorded for job in planned("one", known)[1]] == [known[receipt("one", stage)][0] for stage in STAGES]
    assert reasons(known, train=2) == {**FRESH, "train": ["config train.setting: 1 -> 2"]}, "in words, though not on disk"
    Path(artifact("one", "collect")).write_text("damaged")
    assert "is not what the job wrote" in reasons(known)["collect"][0]


def test_of_two_receipts_the_valid_one_counts():
    make("one")
    known, own = kept(), receipts.read(receipt("one", "train"))
    change("train", lambda row: row["config"].update({"train.setting": 3}))
    assert reasons(known) == FRESH and planned("one", known)[1][1].recorded == own, "the ledger's is valid"
    known[receipt("one", "train")] = [{**own, "config": {"train.setting": 4}}]
    assert reasons(known, train=2)["train"] == ["config train.setting: 3 -> 2"], "neither is: the job's own gives the reasons"
    change("train", lambda row: row["config"].update({"train.setting": 1}))
    assert reasons(known) == FRESH and planned("one", known)[1][1].recorded == own, "the job's own is valid"


def test_a_job_stands_where_its_inputs_came_out_the_same():
    make("one")
    plan, (_, train, probe) = planned("one")
    assert plan.stands(train) and plan.stands(probe)
    weights = Path(artifact("one", "train"), "weights")
    text = weights.read_text()
    weights.write_text("trained again to other weights")
    assert not plan.stands(train) and not plan.stands(probe)
    weights.write_text(text)
    assert plan.stands(train) and plan.stands(probe)
    Path(artifact("one", "probe")).unlink()
    assert not plan.stands(probe)


def test_a_job_without_a_receipt_of_its_own_does_not_stand():
    make("one")
    known = kept()
    Path(receipt("one", "probe")).unlink()
    plan, jobs = planned("one", known)
    assert not jobs[2].reasons and not plan.stands(jobs[2]), "the ledger's receipts are written to disk before any job runs"
