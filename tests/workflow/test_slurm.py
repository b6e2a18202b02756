"""Slurm, really: profiles/slurm on a cluster of one node, which this module starts and ends."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.workflow.repository import Repository, wait_until
from tests.workflow.slurm import running_cluster

pytestmark = pytest.mark.slow
# it has no GPUs and no accounting, and may be asked every second
ON_CLUSTER = (
    "--workflow-profile profiles/slurm --resources gpu=0 --slurm-status-command squeue --slurm-init-seconds-before-status-checks 1".split()
)
POLICY, JOB = "results/tiny/models/A/0/ppo", "train_ppo-tiny-A-0-ppo"
SLOW = {"methods": {"ppo": {"episodes": 512}}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


def submissions(said: str) -> set[str]:
    return {*re.findall(r"has been submitted with SLURM jobid (\d+)", said)}


def test_the_same_bytes_as_without_a_scheduler_and_fewer_submissions_than_jobs(cluster, finished, tmp_path):
    repository = Repository.create(tmp_path / "canaryflow")
    run = repository.run(*ON_CLUSTER, **cluster.environment)
    assert run.status == 0, run.said[-6000:]
    assert repository.products() == finished.products()
    assert len(submissions(run.said)) < 0.6 * len(repository.receipts())
    assert repository.plan(*ON_CLUSTER, **cluster.environment) == repository.plan() == set()


def scripts(folder: Path) -> list[int]:
    """Process ids of the jobs' scripts that run in a folder, whoever started them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if "/.snakemake/scripts/" in (entry / "cmdline").read_text() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_cancelled_killed_out_of_time_and_asked_for_twice(cluster, repository):
    """Each attempt goes on where the one before was stopped, to the bytes of a run that nobody disturbed."""
    undisturbed = repository.fork(repository.folder.parent / "undisturbed")
    assert undisturbed.run(POLICY, overlay=SLOW).jobs == {"train_ppo-A-0-ppo"}
    checkpoints = repository.folder / ".canaryflow/checkpoints" / JOB

    def saved() -> set[Path]:
        return {*checkpoints.glob("*/*")}

    def begin(*arguments: str):
        before, started = saved(), repository.start(*arguments, *ON_CLUSTER, POLICY, overlay=SLOW, **cluster.environment)
        wait_until(lambda: saved() - before)
        return started

    # somebody cancels the job
    started = begin()
    cluster.command("scancel", *cluster.jobs())
    run = started.wait()
    assert run.status and "SLURM status is: 'CANCELLED'" in run.said and "Traceback" not in run.said, run.said

    # its process is killed, as where a node has no memory left
    started = begin()
    for process in scripts(repository.folder):
        os.kill(process, signal.SIGKILL)
    run = started.wait()
    assert run.status and "SLURM status is: 'FAILED'" in run.said and "Traceback" not in run.said, run.said

    # its time is up; while it stands still, another run is asked for
    started = begin("--set-resources", "train_ppo:runtime=1")
    for process in scripts(repository.folder):
        os.kill(process, signal.SIGSTOP)
    second = repository.run(POLICY, overlay=SLOW)
    assert second.status and len(re.findall("cannot be locked", second.said)) == 1 and "Traceback" not in second.said, second.said
    run = started.wait()
    assert run.status and "SLURM status is: 'TIMEOUT'" in run.said and "Traceback" not in run.said, run.said
    (said,) = (repository.folder / ".snakemake/slurm_logs").rglob(f"{cluster.jobs('TIMEOUT')[-1]}.log")
    assert f"canaryflow: {JOB}: ended by SIGTERM; run snakemake again" in said.read_text()

    assert repository.run(*ON_CLUSTER, POLICY, overlay=SLOW, **cluster.environment).status == 0
    assert "resuming from step" in (repository.folder / "logs/tiny/train_ppo/A/0/ppo.log").read_text()
    assert repository.products() == undisturbed.products() and not saved()
