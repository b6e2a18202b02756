"""What a job says of itself at its end."""

import json
import os

import pytest

from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness import record


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


def test_cost_of_a_job_that_went_on_from_a_checkpoint():
    whole, resumed = record._cost(0.0, 0.0), record._cost(0.0, 100.0)
    assert whole["cpu_s"] > 0 and resumed["cpu_s"] is None
    assert resumed["wall_s"] - whole["wall_s"] == pytest.approx(100, abs=5) and whole["peak_memory_mb"] > 10


def test_a_job_runs_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = pytest.raises(InputError, match="another process is still running it")
    with record.alone("train_sft-A"), record.alone("train_sft-B"), refused, record.alone("train_sft-A"):
        pass
    with record.alone("train_sft-A"):
        pass
