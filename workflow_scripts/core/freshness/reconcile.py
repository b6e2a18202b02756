"""In the Snakefile: hold every receipt against the tree, and let Snakemake run what is stale and what depends on it.

Snakemake compares times and nothing else can be had from it, so times are made to say what content says: finished artifacts all
carry one time, and every rule gets a hidden input, a flag file that is older than any artifact (fresh) or newer (stale).
"""

import argparse
import contextlib
import errno
import functools
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from ..errors import InputError
from . import receipts
from .code import forget_bytecode
from .content import SCRATCH, SETTLED, settle, was_made_here, write_whole
from .plan import Job, Plan
from .storage import in_git
from .takeover import take_over

FRESH, STALE = SCRATCH / "fresh", SCRATCH / "stale"
REBUILD = "CANARYFLOW_REBUILD"
# options of the command line with which Snakemake runs no job, but shows or tidies something, or makes everything anew
NO_RUN = """archive cleanup_metadata cleanup_shadow conda_cleanup_envs conda_create_envs_only container_cleanup_images containerize d3dag dag
    delete_all_output delete_temp_output detailed_summary filegraph forceall generate_unit_tests lint list_changes list_conda_envs
    list_input_changes list_params_changes list_rules list_target_rules list_untracked print_compilation report rulegraph summary touch
    unlock""".split()
SAID = 8  # changes that a run names of one job: after an update of the whole project nobody reads them all


def reconcile(workflow, *, receipts_folder: str, strict_versions: list[str]) -> Plan | None:
    """Give every rule its hidden input; the Snakefile's last line. Returns the plan.

    In the main process this says on stderr why each stale job is stale, and raises InputError where something that is needed was not
    pulled. In the process of a single job (also on a cluster) it only names the flag that is there, writes nothing and returns None.
    """
    plan = Plan(workflow, strict_versions) if workflow.is_main_process else None
    if plan:
        logging.raiseExceptions = False  # on a full disk Snakemake cannot write its log: no traceback for each line of it
        for rule in plan.rules:
            if not hasattr(rule.output, "receipt") or not rule.script:
                raise InputError(f"rule {rule.name}: a rule with outputs needs an output named receipt, and script")
        forget_bytecode()
        _prepare(Path(receipts_folder))
        targets = _targets(workflow, plan)
        jobs = plan.reachable(targets)
        if command := _command_that_runs():
            take_over(plan=plan, jobs=jobs, receipts_folder=Path(receipts_folder), write=not command.dryrun)
        _settle_the_rest(jobs)
        _now_at_the_latest({path for job in jobs for path in job.sources})
        _explain(jobs)
        _ask_for_lost_sources(jobs)
        _ask_for_what_was_not_pulled(plan, targets, jobs)
        workflow.onstart(functools.partial(_check_before_first_job, workflow))
    for rule in [r for r in workflow.rules if r.output]:
        rule.set_input(**{receipts.HIDDEN: functools.partial(_flag, plan, rule)})
    return plan


def _flag(plan: Plan | None, rule, wildcards) -> str:
    return str(STALE if plan and plan.job(rule, dict(wildcards.items())).reasons else FRESH)


def _prepare(folder: Path) -> None:
    """Write the two flags, and give finished artifacts their one time."""
    with _writing():
        SCRATCH.mkdir(exist_ok=True)
        write_whole(STALE, f"{time.time_ns()}\n")  # never the same twice: Snakemake may compare its content too
        FRESH.touch()
        os.utime(FRESH, (SETTLED - 1, SETTLED - 1))
        for path in folder.rglob("*.json"):
            _settle_all([str(path), *receipts.read(path).get("output_md5", {})])


def _settle_the_rest(jobs: list[Job]) -> None:
    """Give the one time also to artifacts without a receipt and to benchmarks, which Snakemake counts among the outputs.

    A later time would hide that the job is stale, an earlier one would make it seem so.
    """
    with _writing():
        for job in jobs:
            _settle_all([*([] if job.recorded else job.outputs), *([job.benchmark] if job.benchmark else [])])


def _settle_all(paths: list[str]) -> None:
    """Settle them, unless another run is at work on artifacts."""
    if not any(Path(".snakemake/locks").glob("*")):
        for path in paths:
            settle(path)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Turn what cannot be written into a sentence."""
    try:
        yield
    except OSError as e:
        full = e.errno == errno.ENOSPC
        remedy = "free some space" if full else "make the working directory and the results in it yours to write"
        raise InputError(f"{e.filename or SCRATCH} cannot be written ({e.strerror}); {remedy}") from e


def _now_at_the_latest(sources: set[str]) -> None:
    """Take source files' times back out of the future: Snakemake lets a job fail that has an input newer than its outputs."""
    now = time.time()
    for path in map(Path, sources):
        with contextlib.suppress(OSError):  # not ours to change
            if path.stat().st_mtime > now:
                os.utime(path, (now, now))


def _check_before_first_job(workflow, log) -> None:
    """End the run before its first job where an output cannot be written (Snakemake would stop halfway, with a traceback), and where
    Snakemake would also compare with what it remembers of this folder, and so run again what is up to date.
    """
    if {trigger.name for trigger in workflow.dag_settings.rerun_triggers} != {"MTIME"}:
        _stop("the profile in force does not say `rerun-triggers: [mtime]`; copy the lines of profiles/default into it")
    for job in workflow.dag.needrun_jobs():
        for path in map(Path, [*job.output, *job.log, *([job.benchmark] if job.benchmark else [])]):
            folder = next(p for p in (path, *path.parents, Path()) if p.is_dir())
            if not os.access(folder, os.W_OK | os.X_OK):
                _stop(f"{folder} cannot be written; make it writable and run again")


def _stop(sentence: str) -> None:
    print(f"canaryflow: {sentence}", file=sys.stderr, flush=True)
    sys.exit(1)


def _targets(workflow, plan: Plan) -> list[str]:
    """The files that this run was asked for."""
    rules = {rule.name: rule for rule in workflow.rules}
    found = []
    for target in _named_on_the_command_line() or [workflow.default_target]:
        if target not in rules:
            found.append(target)
        elif rules[target].output:
            found += [str(f) for f in rules[target].output if not f.contains_wildcard()]
        else:
            found += [str(f) for f in rules[target].expand_input({})[0]]
    return found


def _named_on_the_command_line() -> list[str]:
    """Targets of the snakemake command that this process is."""
    command = _command()
    return sorted(map(str, command.targets)) if command else []


def _command_that_runs() -> argparse.Namespace | None:
    """The snakemake command that this process is, if it runs jobs or, as a dry run, says which."""
    command = _command()
    return command if command and all(getattr(command, option) in (None, False) for option in NO_RUN) else None


@functools.cache
def _command() -> argparse.Namespace | None:
    """Options of the snakemake command that this process is, if it is one; Snakemake tells them only after the Snakefile is read."""
    command = Path(sys.argv[0])
    if command.name != "snakemake" and command.parts[-2:] != ("snakemake", "__main__.py"):
        return None
    from snakemake.cli import get_argument_parser  # here, as nothing else of the library needs Snakemake

    with contextlib.suppress(SystemExit):
        return get_argument_parser().parse_known_args(sys.argv[1:])[0]
    return None


def _explain(jobs: list[Job]) -> None:
    """Say what changed, per stale job; of what was never made here Snakemake itself says that it is missing."""
    for job in jobs:
        if job.reasons and (job.recorded or any(Path(path).exists() for path in job.outputs)):
            more = f"; and {len(job.reasons) - SAID} more changes" if len(job.reasons) > SAID + 1 else ""
            said = job.reasons[: SAID if more else None]
            print(f"canaryflow: {job.name} is stale: {'; '.join(said)}{more}", file=sys.stderr, flush=True)


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
    missing = sorted(p for p in needed if not Path(p).exists() and not in_git(p) and not plan.maker(p).outdated)
    missing = [p for p in missing if not plan.maker(p).taken]  # in a dry run: the real one copies them
    if not missing or os.environ.get(REBUILD):
        return
    kept = _in_dvc_lock()
    missing = [p for p in missing if kept.get(p) == plan.maker(p).recorded["output_md5"].get(p)]
    if missing and any(_was_pulled(job) for job in jobs):
        raise InputError(
            f"needed and not here, though DVC has it: run `dvc pull {shlex.join(missing)}`, or set {REBUILD}=1 to make it here again"
        )


def _was_pulled(job: Job) -> bool:
    """Whether a valid artifact of the job is here that no job made here."""
    made = {} if job.reasons else job.recorded["output_md5"]
    return any(Path(p).exists() and not in_git(p) and not was_made_here(p, found) for p, found in made.items())


def _in_dvc_lock() -> dict[str, str]:
    """{path: MD5} of the outputs that dvc.lock lists; DVC can restore these."""
    found = {}
    for lock in (Path("dvc.lock"), *Path("results").glob("*/dvc.lock")):
        if lock.is_file():
            stages = yaml.load(lock.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
            outputs = [out for stage in stages.get("stages", {}).values() for out in stage.get("outs", [])]
            found |= {out["path"]: out.get("md5") for out in outputs}
    return found
