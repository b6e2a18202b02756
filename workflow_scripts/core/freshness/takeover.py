"""One run takes over what another run in the same results folder has already made.

Runs of overlays share most of their jobs with the default run: the same code, settings and inputs, under another run's name. A
stale job whose receipt, with the run's name exchanged, stands in the folder of another run is not run again: its artifacts are
copied, never linked, so that no run can change another's bytes, and the receipt says in `made.taken_from` whose they are.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from ..errors import InputError
from . import receipts
from .content import SCRATCH, md5, remember_made, remove, replace
from .plan import Job, Plan
from .record import alone

SWITCH = "CANARYFLOW_TAKE_OVER"  # 0 in the environment: make everything here


def take_over(*, plan: Plan, jobs: list[Job], receipts_folder: Path, write: bool) -> None:
    """Take over what `jobs` (parents first) can have from other runs, and say so in one line on stderr per run.

    Without `write` (a dry run) nothing is copied: the jobs are judged as they would be afterwards.
    """
    if os.environ.get(SWITCH) == "0":
        return
    taken = Counter()
    for job in jobs:
        if any(parent.taken for parent in job.parents.values()):
            job.reasons = plan.reasons(job)  # its inputs may be again what they were
        if job.reasons and not any(parent.outdated for parent in job.parents.values()):
            for place in sorted(receipts_folder.parent.parent.glob(f"*/{receipts_folder.name}")):
                receipt = _offered(plan, job, place, receipts_folder)
                if receipt and (not write or _copied(job, receipt, place.parent, receipts_folder.parent)):
                    job.recorded, job.reasons, job.taken = receipt, [], True
                    taken[place.parent.name] += 1
                    break
    for run, count in taken.items():
        note = "taken over" if write else "would be taken over, though Snakemake lists them below, as nothing is copied yet"
        print(f"canaryflow: {count} {'job' if count == 1 else 'jobs'} of run {run} {note}", file=sys.stderr, flush=True)


def _offered(plan: Plan, job: Job, theirs: Path, ours: Path) -> dict | None:
    """The receipt of the same job of another run, named as ours; None where it differs in anything or its artifacts are not whole."""
    if theirs == ours:
        return None
    receipt = receipts.read(theirs / Path(job.receipt).relative_to(ours))
    if not receipt or plan.differences(job, receipt := _renamed(receipt, theirs.parent, ours.parent)):
        return None
    outputs = receipts.files(receipt["outputs"])  # those that the rule declares, as nothing differs
    return receipt if all(_is_whole(_moved(path, ours.parent, theirs.parent), value) for path, value in outputs.items()) else None


def _is_whole(path: str, value: str) -> bool:
    try:
        return md5(path) == value
    except OSError:
        return False


def _renamed(receipt: dict, theirs: Path, ours: Path) -> dict:
    """A receipt with our run in the place of theirs, in wildcards and paths; `made` stays: costs remain those of the run that paid them."""
    sides = {
        side: {key: {_moved(p, theirs, ours): value for p, value in paths.items()} for key, paths in receipt[side].items()}
        for side in ("inputs", "outputs")
    }
    wildcards = {k: ours.name if (k, v) == ("run", theirs.name) else v for k, v in receipt["wildcards"].items()}
    return {**receipt, **sides, "wildcards": wildcards, "made": {"taken_from": theirs.name, **receipt["made"]}}


def _moved(path: str, old: Path, new: Path) -> str:
    return (new / Path(path).relative_to(old)).as_posix() if Path(path).is_relative_to(old) else path


def _copied(job: Job, receipt: dict, theirs: Path, ours: Path) -> bool:
    """Copy the artifacts, check the copies, publish them as a job does: outputs by renaming, the receipt last. False where it fails."""
    outputs = receipts.files(receipt["outputs"])
    final = {Path(path): Path(_moved(path, ours, theirs)) for path in outputs}
    temporary = {path: path.with_name(f".tmp-{path.name}") for path in final}
    try:
        with alone(job.name):
            for path, source in final.items():
                _copy(source, temporary[path])
                if md5(temporary[path]) != outputs[str(path)]:
                    return False
            for path in final:
                replace(temporary[path], path)
            remember_made(outputs)
            receipts.write(job.receipt, receipt)
            shutil.rmtree(SCRATCH / "checkpoints" / job.name, ignore_errors=True)  # of a killed attempt
            return True
    except (OSError, subprocess.CalledProcessError, InputError):  # a full disk, or somebody is at it: the job runs, and reports it
        return False
    finally:
        for path in temporary.values():
            remove(path)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder, as a clone of its blocks where the file system can; links to DVC's cache become files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove(target)
    command = ["cp", "--recursive", "--dereference", "--reflink=auto", "--no-preserve=mode", "--", str(source), str(target)]
    subprocess.run(command, check=True, capture_output=True)
