"""Two workers for each job that takes some: probes come out byte for byte, training to float noise; a killed worker costs a sentence."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.workflow.repository import wait_until
from tests.workflow.scenarios import CONFIG, RESULTS

WIDER = ("memorized_distance: 0.1 ", "memorized_distance: 0.2 ")  # an edit that probes everything anew


def workers_of(started) -> list[int]:
    """Process ids of workers: what a job's script has started with itself, in a session of its own."""
    scripts, found = started.scripts(), []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            _, parent, _, session = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:4]
            if int(parent) in scripts and session == entry.name and "/.snakemake/scripts/" in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return sorted(found)


@pytest.mark.slow
def test_probes_are_those_of_one_process(repository, tmp_path):
    alone = repository.fork(tmp_path / "alone")
    target = f"{RESULTS}/extraction/ppo.parquet"
    for copy, overlay in ((alone, None), (repository, {"probes": {"workers": 2}})):
        assert copy.plan(overlay=overlay) <= {"render_report", "render_summary"}, "how many share the work decides no result"
        copy.edit(CONFIG, *WIDER)
        assert "collect_extraction-ppo" in copy.execute(target, overlay=overlay)
    assert repository.products() == alone.products()


@pytest.mark.slow
@pytest.mark.parametrize("fsdp", [False, True], ids=["whole models", "fsdp"])
def test_a_run_with_workers_and_one_of_them_killed(fsdp, repository):
    shared = {"training": {"workers": 2, "fsdp": fsdp}, "probes": {"workers": 2}}
    before = {path: load_file(path) for path in sorted((repository.folder / RESULTS / "models").rglob("model.safetensors"))}
    started = repository.start(overlay=shared)
    try:
        wait_until(lambda: len(workers_of(started)) == 2, 600)
        os.kill(workers_of(started)[-1], signal.SIGKILL)
        run = started.wait()
    finally:
        started.kill_all()
    assert run.status == 1 and "Traceback" not in run.said
    assert any(
        "ended by SIGKILL; run snakemake again: training that keeps checkpoints goes on from its last one" in said for said in run.sentences
    ), run.said
    assert repository.execute(overlay=shared)
    assert repository.plan(overlay=shared) == set()
    for path, weights in before.items():
        again = load_file(path)
        assert weights.keys() == again.keys() and all(weights[name].shape == again[name].shape for name in weights)
        if "/base/" in str(path) or "/sft/" in str(path):
            apart = max((weights[name] - again[name]).abs().max().item() for name in weights)
            assert apart < 1e-3, f"{path}: {apart}"
