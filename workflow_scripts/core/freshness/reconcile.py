"""In the Snakefile: compare every receipt with the tree, and let Snakemake run what is stale and what depends on it.

Snakemake compares times, and nothing else can be had from it. So times are made to say what content says: no artifact is older than
what it was made of, and every rule gets a hidden input, a flag file whose time does not count (fresh) or is newer than any artifact (stale).
"""

import contextlib
import errno
import functools
import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import allocator
from ..errors import InputError
from . import ledger, receipts, storage
from . import snakemake_adapter as adapter
from .code import ROOT, closure, forget_bytecode, forget_other_checkouts
from .content import SCRATCH, is_unreadable, put_back, settle, touch, was_made_here, write_whole
from .plan import Job, Plan
from .record import SAME, alone, hold_run, note_what_must_run
from .takeover import take_over

FRESH, STALE = SCRATCH / "fresh", SCRATCH / "stale"
REBUILD = "CANARYFLOW_REBUILD"
SHOWN = 8  # changes of one job that a run names: after an update of the whole project nobody reads them all


def reconcile(workflow, *, receipts_folder: str, strict_versions: list[str], checks: dict[str, Callable[[], None]]) -> Plan | None:
    """Give every rule its hidden input; the Snakefile's last line. Returns the plan.

    In the main process this says on stderr why each stale job is stale, and raises InputError where something that is needed was not
    pulled, or where one of the `checks` does, which are called for the rules, or the jobs by name, that will run. In the process of a single job
    (also on a cluster) it only names the flag that is there, writes nothing and returns None.
    """
    plan, folder = None, Path(adapter.placed(workflow, receipts_folder))
    if not adapter.is_whole(workflow):
        raise InputError(
            "another workflow uses only some of these rules, or changes one; "
            "write `use rule * from` the module, and set threads and resources of a rule in a profile"
        )
    if adapter.is_main(workflow):
        logging.raiseExceptions = False  # on a full disk Snakemake cannot write its log: no traceback for each of its lines
        for rule in adapter.rules_with_outputs(workflow):
            if not adapter.is_complete(rule):
                raise InputError(f"rule {rule.name}: a rule with outputs needs an output named receipt, and script")
        forget_bytecode()
        forget_other_checkouts()
        kept = {(folder / name).as_posix(): found for name, found in ledger.read_all(folder.parent).items()}
        plan = Plan(workflow, strict_versions, kept)
        with _sentences():
            _write_flags(folder.parent.name)
        with _sentences():
            _decide(workflow, plan, folder, checks)
        adapter.before_first_job(workflow, functools.partial(_before_first_job, plan))
        adapter.skip(functools.partial(_stands, plan))
    else:
        allocator.preload()
    adapter.keep_old_outputs(workflow)
    adapter.start_lean()
    for rule in adapter.rules_with_outputs(workflow):
        adapter.add_input(rule, receipts.HIDDEN, functools.partial(_flag, plan, rule))
    return plan


def _decide(workflow, plan: Plan, folder: Path, checks: dict[str, Callable[[], None]]) -> None:
    """Judge the jobs behind this run's targets, take over what other runs have, and say what is stale."""
    targets = adapter.targets(workflow)
    jobs = plan.reachable(targets)
    _put_back([path for job in jobs for path in job.outputs])
    if adapter.runs_jobs():
        _unpack(jobs)
        if not adapter.forced()[0]:
            take_over(plan=plan, jobs=jobs, receipts_folder=folder, write=not adapter.is_dry_run())
        if not adapter.is_dry_run():
            note_what_must_run(folder, [job.name for job in jobs if job.reasons or _is_forced(job)])
            _say_where_locks_are_missing(jobs)
    _settle(jobs)
    code = {ROOT / file for script in {job.declared["script"] for job in jobs if job.outdated} for file in closure(script)}
    _now_at_the_latest({Path(path) for job in jobs for path in job.sources} | code)
    _explain(jobs)
    if adapter.runs_jobs():
        _ask_for_lost_sources(jobs)
        needed = [checks.get(job.name) or checks.get(job.declared["rule"]) for job in jobs if job.outdated or _is_forced(job)]
        for check in filter(None, dict.fromkeys(needed)):
            check(reach=not adapter.is_dry_run())
    _ask_for_what_was_not_pulled(plan, targets, jobs)


def _flag(plan: Plan | None, rule, wildcards) -> str:
    is_stale = bool(plan and plan.job(rule, dict(wildcards.items())).reasons)
    return adapter.hidden(STALE if is_stale else FRESH, counts=is_stale)


def _is_forced(job: Job) -> bool:
    everything, names = adapter.forced()
    return everything or bool(names & {job.rule, *job.outputs, job.receipt})


def _stands(plan: Plan, rule, wildcards: dict[str, str]) -> bool:
    """Whether a job that is about to run need not: its inputs came out the same. What is stale itself or forced always runs."""
    job = plan.job(rule, wildcards) if rule in plan.rules else None
    if not job or job.reasons or _is_forced(job) or not plan.stands(job):
        return False
    for path in (*job.outputs, job.receipt):
        touch(path)
    print(f"canaryflow: {job.name}: {SAME}", file=sys.stderr, flush=True)
    return True


def _write_flags(run: str) -> None:
    SCRATCH.mkdir(exist_ok=True)
    if adapter.runs_jobs() and not adapter.is_dry_run():
        hold_run(run, alone=adapter.is_unlocked())
    write_whole(STALE, f"{time.time_ns()}\n")  # never the same twice: Snakemake may compare its content too
    FRESH.touch()


def _unpack(jobs: list[Job]) -> None:
    """Write the receipts that count and are not on disk: those of the ledger, on a fresh clone or after a change of branch."""
    for job in jobs:
        if job.packed and not job.reasons:
            receipts.write(job.receipt, job.recorded)


def _put_back(outputs: list[str]) -> None:
    for path in outputs:
        put_back(Path(path))


def _settle(jobs: list[Job]) -> None:
    """Move the times of artifacts that contradict content, unless another run is at work on them.

    One that is older than what it was made of would seem stale, one newer than the flag would hide that it is. All others keep the time
    at which they were made. Only what rules declare is touched, never a path that just a receipt names; benchmarks too, which
    Snakemake counts among the outputs. Artifacts that are one file (hard links of DVC's) need more than one round.
    """
    until = (STALE.stat().st_mtime_ns // 10**9 - 2) * 10**9  # whole seconds, which every file system can keep
    before, times = None, {}
    while before != times and not adapter.another_run_at_work():
        before, times = times, {}
        for job in jobs:  # parents first
            since = max((times[parent] for parent in job.parents.values()), default=0)
            paths = [job.receipt, *job.outputs, *([job.benchmark] if job.benchmark else [])]
            times[job] = max(settle(path, since=since, until=until) for path in paths)


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    """Turn what cannot be read or written, and Ctrl-C, into a sentence."""
    try:
        yield
    except OSError as e:
        if is_unreadable(e):
            raise InputError(f"{e.filename} cannot be read ({e.strerror}); make it yours to read, or restore it") from e
        full = e.errno == errno.ENOSPC
        remedy = "free some space" if full else "make the working directory and the results in it yours to write"
        raise InputError(f"{e.filename or SCRATCH} cannot be written ({e.strerror}); {remedy}") from e
    except KeyboardInterrupt:
        raise InputError("ended by Ctrl-C before the first job; run snakemake again") from None


def _say_where_locks_are_missing(jobs: list[Job]) -> None:
    with contextlib.suppress(InputError), alone("a try") as is_held:  # another run may try, too
        if not is_held and any(job.outdated for job in jobs):
            print(
                "canaryflow: this file system has no locks, so nothing keeps a second process from running a job that one runs; "
                "after a kill, end what is left of the run before you run again",
                file=sys.stderr,
                flush=True,
            )


def _now_at_the_latest(files: set[Path]) -> None:
    """Take files' times back out of the future, after the clock was set back for example.

    Snakemake lets a job fail that has an input newer than its outputs, and a job fails whose code changed after it started.
    """
    now = time.time()
    for path in files:
        with contextlib.suppress(OSError):  # not ours to change
            about = path.stat()
            if max(about.st_mtime, about.st_ctime) > now:
                os.utime(path, (min(about.st_mtime, now),) * 2)  # which sets its ctime to the present


def _before_first_job(plan: Plan, workflow) -> None:
    """End the run before its first job where an output cannot be written (Snakemake would stop halfway, with a traceback), and where
    Snakemake would also compare with what it remembers of this folder, and so run again what is up to date. Jobs on this machine get its
    allocator; those of a cluster look for it where they run.
    """
    if workflow.local_exec:
        allocator.preload()
    if adapter.triggers(workflow) != {"MTIME"}:
        _stop("the profile in force does not say `rerun-triggers: [mtime]`; copy the lines of profiles/default into it")
    for path in adapter.written_by_run(workflow, plan.rules):
        above = next(p for p in (*path.parents, Path()) if p.is_dir())
        for folder in (above, path) if path.is_dir() else (above,):  # a new folder takes the old one's place in the folder above
            if not os.access(folder, os.W_OK | os.X_OK):
                _stop(f"{folder} cannot be written; make it writable and run again")


def _stop(sentence: str) -> None:
    print(f"canaryflow: {sentence}", file=sys.stderr, flush=True)
    sys.exit(1)


def _explain(jobs: list[Job]) -> None:
    """Say what changed, per stale job; of what was never made here Snakemake itself says that it is missing."""
    for job in jobs:
        if job.reasons and (job.recorded or any(Path(path).exists() for path in job.outputs)):
            more = f"; and {len(job.reasons) - SHOWN} more changes" if len(job.reasons) > SHOWN + 1 else ""
            reasons = job.reasons[: SHOWN if more else None]
            print(f"canaryflow: {job.name} is stale: {'; '.join(reasons)}{more}", file=sys.stderr, flush=True)


def _ask_for_lost_sources(jobs: list[Job]) -> None:
    """Raise InputError where a stale job lacks a source file: Snakemake would take what the job made before for a source itself."""
    for job in jobs:
        if job.outdated and (lost := [path for path in job.sources if not Path(path).exists()]):
            raise InputError(f"{job.name} must run, and its input {', '.join(lost)} is not there; restore it, or correct its path")


def _ask_for_what_was_not_pulled(plan: Plan, targets: list[str], jobs: list[Job]) -> None:
    """Raise InputError where a stage would be run again only because its artifact, which DVC has, was left behind by a partial pull.

    Where nothing at all was pulled, and where every artifact was made here, missing ones are made (again) without a question.
    """
    needed = {path for path in targets if plan.maker(path)}
    needed |= {path for job in jobs if job.outdated for path in job.parents}
    missing = sorted(p for p in needed if not Path(p).exists() and not plan.maker(p).outdated)
    missing = [p for p in missing if not plan.maker(p).taken]  # in a dry run: the real one copies them
    if not missing or os.environ.get(REBUILD):
        return
    kept = _in_dvc_lock()
    missing = [p for p in missing if p in kept and kept[p] == plan.maker(p).recorded_outputs.get(p)]
    if missing and any(_was_pulled(job) for job in jobs):
        raise InputError(
            f"needed and not here, though DVC has it: run `dvc pull {shlex.join(missing)}`, or set {REBUILD}=1 to make it here again"
        )


def _was_pulled(job: Job) -> bool:
    """Whether a valid artifact of the job is here that no job made here."""
    outputs = {} if job.reasons else job.recorded_outputs
    return any(Path(p).exists() and not was_made_here(p, value) for p, value in outputs.items())


def _in_dvc_lock() -> dict[str, str]:
    """{path: MD5} of the outputs that dvc.lock lists; DVC can restore these."""
    outputs = {}
    for lock in (Path("dvc.lock"), *Path("results").glob("*/dvc.lock")):
        for stage in storage.locked(lock).values():
            outputs |= {out["path"]: out.get("md5") for out in stage.get("outs", [])}
    return outputs
