"""A Slurm cluster of one node, on this machine and for one test module: its own ports, key, spool and state, in a folder of its own.

Debian: `apt-get install slurm-wlm munge`. Nothing of an installed cluster is read or touched.
"""

import getpass
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow.repository import wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
CONFIG = """
ClusterName=canaryflow
SlurmctldHost=localhost
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller}
SlurmdPort={node}
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
MpiDefault=none
MinJobAge=86400
KillWait=5
NodeName=canary NodeHostname={host} NodeAddr=localhost CPUs=2 RealMemory=1000000
PartitionName=gpu Nodes=canary Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """The cluster in `folder`, while its processes are alive."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """For commands that use it. The executor hides SLURM_CONF from srun, so srun is a script that sets it."""
        path = f"{self.folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def command(self, *words: str) -> str:
        """Output of a command; empty where it fails."""
        done = subprocess.run(words, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def jobs(self, *states: str) -> list[str]:
        """Ids of its jobs in these states; without any, of all that have not ended."""
        return self.command("squeue", "--noheader", "--format=%i", *(f"--states={state}" for state in states)).split()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start the cluster, and end it with all its jobs; skips the test where a program is missing."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing or not importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        pytest.skip(f"needs {', '.join(missing) or 'snakemake-executor-plugin-slurm'} (Debian: apt-get install slurm-wlm munge)")
    for name in ("munge", "state", "spool", "bin"):
        (folder / name).mkdir(mode=0o700)
    (folder / "munge/key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge/key").chmod(0o600)
    with socket.socket() as one, socket.socket() as other:
        for end in (one, other):
            end.bind(("localhost", 0))
        ports = {"controller": one.getsockname()[1], "node": other.getsockname()[1]}
    place = folder / "slurm.conf"
    place.write_text(CONFIG.format(folder=folder, user=getpass.getuser(), host=socket.gethostname(), **ports), encoding="utf-8")
    (folder / "bin/srun").write_text(f'#!/bin/sh\nSLURM_CONF={place} exec {shutil.which("srun")} "$@"\n', encoding="utf-8")
    (folder / "bin/srun").chmod(0o755)
    munge = [f"--{name}={folder}/munge/{name.split('-')[0]}" for name in ("key-file", "socket", "pid-file", "log-file", "seed-file")]
    cluster = Cluster(folder)
    with ExitStack() as stack:
        for words in (["munged", "--foreground", "--force", *munge], ["slurmctld", "-D"], ["slurmd", "-D", "-N", "canary"]):
            stack.enter_context(_alive(words, folder, {**os.environ, **cluster.environment}))
            if words[0] == "munged":
                wait_until((folder / "munge/socket").exists, 30)
        wait_until(lambda: "idle" in cluster.command("sinfo", "--noheader", "--format=%T"), 60)
        stack.callback(wait_until, lambda: not cluster.jobs(), 60)
        stack.callback(lambda: cluster.command("scancel", *cluster.jobs()))
        yield cluster


@contextmanager
def _alive(words: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A daemon in the foreground, until the block ends."""
    with open(folder / f"{words[0]}.log", "wb") as said:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment, start_new_session=True)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)
