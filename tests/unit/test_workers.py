"""Two workers train what one process does, to float noise; one that ends takes the job with it, in one sentence."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT
from tests.unit import workers_script
from workflow_scripts.core import workers
from workflow_scripts.core.lm import models
from workflow_scripts.core.training import pieces

SCRIPT = ROOT / "tests/unit/workers_script.py"


def run(folder, *arguments: str) -> subprocess.CompletedProcess:
    without_cards = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(SCRIPT), str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500, env=without_cards)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With the checkpoint that all stages start from."""
    folder = tmp_path_factory.mktemp("workers")
    torch.manual_seed(1)
    sizes = dict(vocabulary=100, hidden=32, layers=2, heads=2, intermediate=64, context=64)
    models.create_scratch(**sizes, fim=workers_script.FIM).save_pretrained(folder / "checkpoint")
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    """What one process makes."""
    return workers_script.stages(str(folder / "checkpoint"))


@pytest.fixture(scope="module")
def by_two(folder):
    """The same of two workers, {whether they divide the models: ...}."""
    done = run(folder, "2")
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / "made-2.pt", weights_only=True)


@pytest.mark.parametrize("how", [False, True, "lora"], ids=["whole models", "fsdp", "lora"])
def test_two_workers_make_the_weights_of_one_process(how, folder, alone, by_two):
    made = by_two[how]
    start = models.load_policy(folder / "checkpoint").state_dict()
    if how == "lora":
        alone = workers_script.adapted(str(folder / "checkpoint"))
        start |= {name: torch.zeros_like(x) for name, x in alone["sft"][1].items() if "lora_B" in name}
    else:
        assert alone.keys() == workers_script.STAGES.keys()
    assert made.keys() == alone.keys()
    for stage, (record, weights) in alone.items():
        other_record, others = made[stage]
        assert weights.keys() == others.keys(), stage
        moved = max((weights[name] - start[name]).abs().max().item() for name in start if name in weights)
        apart = max((weights[name] - others[name]).abs().max().item() for name in weights)
        assert apart < 0.02 * moved, f"{stage}: {apart} apart, {moved} from where they started"
        assert record["steps"] == other_record["steps"] and len(record["history"]) == len(other_record["history"])
        for row, other in zip(record["history"], other_record["history"], strict=True):
            assert row == pytest.approx(other, rel=1e-2, abs=1e-4), stage


@pytest.mark.slow
def test_shares_resume_from_the_last_checkpoint_that_all_workers_have(folder, by_two):
    for _ in ("sft", "ppo"):
        assert "worker 2 ended by SIGKILL" in run(folder, "2", "interrupted").stderr
    newest, older = sorted((folder / "kept/ppo/worker-0").glob("step-*")), folder / "kept/ppo/worker-1"
    assert [path.name for path in newest] == [path.name for path in sorted(older.glob("step-*"))] == ["step-1"]
    shutil.copytree(older / "step-1", older / "step-2")  # as if a kill had come before the first worker had its second
    assert run(folder, "2", "again").returncode == 0
    made = torch.load(folder / "made-2-again.pt", weights_only=True)
    for name in ("sft", "ppo"):
        assert made[name][0] == by_two[True][name][0]
        assert all(torch.equal(x, by_two[True][name][1][key]) for key, x in made[name][1].items()), name


def test_a_worker_that_is_killed_ends_the_job_in_one_sentence(folder):
    done = run(folder, "2", "killed")
    assert done.returncode == 1
    assert "said: worker 2 ended by SIGKILL; run snakemake again: training that keeps checkpoints goes on from its last one" in done.stderr


@pytest.mark.slow
def test_what_a_worker_says_its_job_says(folder):
    done = run(folder, "2", "failed")
    assert done.returncode == 1 and "said: the loss is nan at step 3; lower it" in done.stderr


def test_without_workers_nothing_changes():
    assert (workers.size(), workers.rank(), workers.is_first(), workers.inside()) == (1, 0, True, None)
    assert workers.gathered(3) == [3] and workers.by_first(lambda: 4) == 4 and workers.divided([1, 2], str) == ["1", "2"]
    values = {"a": torch.tensor(1.0)}
    assert workers.summed(values) is values
    assert workers.start(1, checkpoints=None, gpu=False) is None and workers.leave_to_first() is None
    assert pieces.own([[1], [2], [3]]) == [([1], True), ([2], True), ([3], True)]


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("limit", [None, 4])
def test_every_piece_counts_once_and_workers_read_equally_many(count, limit, monkeypatch):
    monkeypatch.setattr(workers, "size", lambda: count)
    rows = [dict(prompt_ids=[0] * (1 + i % 3)) for i in range(7)]
    read = []
    for rank in range(count):
        monkeypatch.setattr(workers, "rank", lambda rank=rank: rank)
        read.append(pieces.own(pieces.of_rows(rows, limit)))
    assert len({len(mine) for mine in read}) == 1
    counted = [row for mine in read for piece, counts in mine if counts for row in piece]
    assert sorted(map(id, counted)) == sorted(map(id, rows))
    assert limit is None or all(sum(len(row["prompt_ids"]) for row in piece) <= limit for mine in read for piece, _ in mine)
