"""The only module that touches private parts of Snakemake (9.27.1), and why each is needed. docs/caching.md: what to do at an upgrade.

workflow.rules, .default_target, .is_main_process     which rules there are, and whether this process decides or only runs a job
Rule.expand_input, expand_output, expand_params,      what a rule declares for some wildcards
    expand_benchmark, is_producer, get_wildcards
Rule._input, Rule.set_input                           a copy of the rule as written, and one hidden input added to it
Workflow.onstart, dag.needrun_jobs(), dag_settings    a check before the first job
snakemake.cli.get_argument_parser                     the command line, which Snakemake passes on only after the Snakefile is read
persistence.FileBackupMixin                           old outputs stay in place while a job runs (outputflags: update), uncopied
executors.local.Executor.cached_or_run                a job whose inputs came out the same is not run
script.PythonScript.get_preamble                      what a job does before it imports its libraries
.snakemake/locks                                      whether another run is at work
SnakemakeApi.workflow(...)._workflow                  the parsed workflow, outside of a run
__main__.__real_file__ and the preamble in it         the copy of a script that Snakemake runs
"""

import argparse
import contextlib
import copy
import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# options with which Snakemake runs no job, but shows or tidies something
_NO_RUN = """archive cleanup_metadata cleanup_shadow conda_cleanup_envs conda_create_envs_only container_cleanup_images containerize d3dag dag
    delete_all_output delete_temp_output detailed_summary filegraph generate_unit_tests lint list_changes list_conda_envs
    list_input_changes list_params_changes list_rules list_target_rules list_untracked print_compilation report rulegraph summary touch
    unlock""".split()
_PREAMBLE_END = b"preamble end #########\n"
_FIRST = (
    'import gc, os, signal; gc.disable(); os.environ.setdefault("GOMP_SPINCOUNT", "10000"); signal.signal(signal.SIGINT, signal.SIG_DFL)\n'
)


@dataclass(frozen=True)
class Declared:
    """What a rule declares for some wildcards; inputs and outputs are Snakemake's named lists."""

    inputs: list
    outputs: list
    params: list
    script: Path
    benchmark: str | None


def rules_with_outputs(workflow) -> list:
    """The rules that make something."""
    return [rule for rule in workflow.rules if rule.output]


def is_main(workflow) -> bool:
    """Whether this process decides what runs; else it runs a single job, perhaps on a cluster."""
    return workflow.is_main_process


def as_written(rule):
    """A copy of a rule that our hidden input is not added to."""
    written = copy.copy(rule)
    written._input = type(rule._input)(toclone=rule._input)
    return written


def declared(rule, wildcards: dict[str, str]) -> Declared:
    """A rule's declaration, expanded."""
    inputs, outputs = rule.expand_input(wildcards)[0], rule.expand_output(wildcards)[0]
    params, benchmark = rule.expand_params(wildcards, inputs, outputs, None)[0], rule.expand_benchmark(wildcards)
    script = rule.basedir.join(rule.script.format(params=params, wildcards=wildcards))
    return Declared(
        inputs=inputs,
        outputs=outputs,
        params=params,
        script=Path(os.path.realpath(script.get_path_or_uri(secret_free=True))),
        benchmark=str(benchmark) if benchmark else None,
    )


def receipt_of(rule, wildcards: dict[str, str]) -> str:
    """Path of the output named `receipt`."""
    return str(rule.expand_output(wildcards)[0].receipt)


def is_complete(rule) -> bool:
    """Whether a rule has what our mechanism needs: an output named `receipt`, and a script."""
    return hasattr(rule.output, "receipt") and bool(rule.script)


def wildcards_of(rule, path: str) -> dict[str, str] | None:
    """The wildcards for which a rule makes a file; None where it never does."""
    return rule.get_wildcards(path) if rule.is_producer(path) else None


def add_input(rule, name: str, function: Callable) -> None:
    """Add a named input function to a rule."""
    rule.set_input(**{name: function})


def timeless(path: Path) -> str:
    """An input whose time does not count."""
    from snakemake.io import ancient

    return ancient(str(path))


def keep_old_outputs() -> None:
    """Let old outputs stay in place while a job runs, without the backup copies that Snakemake makes of them.

    Our jobs replace an output only by a whole new one, so after a failure what is there is the old one, untouched.
    """
    from snakemake.persistence import FileBackupMixin

    FileBackupMixin.backup_output = lambda self, path: None
    FileBackupMixin.restore_output = lambda self, path: path.exists()
    FileBackupMixin.cleanup_backup = lambda self, path: None


def skip(stands: Callable[[object, dict[str, str]], bool]) -> None:
    """Before a job is run here, ask `stands(rule, wildcards)`: where it does, the job ends well at once."""
    from snakemake.executors.local import Executor

    run = Executor.cached_or_run

    def skip_or_run(executor, job, function, *arguments) -> None:
        if not stands(job.rule, job.wildcards_dict):
            run(executor, job, function, *arguments)
        elif job.benchmark:
            Path(job.benchmark).touch()

    Executor.cached_or_run = skip_or_run


def start_lean() -> None:
    """Let scripts, from their first line on, end without a traceback at Ctrl-C, and import their libraries without looking for garbage,
    which takes a fifth of a model's job's start; core/job.py then says more, and looks for garbage again. Threads of a job that wait for
    each other spin for some 10 microseconds and then sleep: spinning as long as OpenMP does by itself makes a job of two threads up to 80
    times slower beside other work, sleeping at once makes it a third slower on an idle machine.
    """
    from snakemake.script import PythonScript

    preamble = PythonScript.get_preamble
    PythonScript.get_preamble = lambda script: _FIRST + preamble(script)


def before_first_job(workflow, check: Callable[[object], None]) -> None:
    """Call `check(workflow)` once the jobs are known, before the first one starts."""
    workflow.onstart(lambda log: check(workflow))


def triggers(workflow) -> set[str]:
    """Names of the rerun triggers in force."""
    return {trigger.name for trigger in workflow.dag_settings.rerun_triggers}


def written_by_run(workflow) -> list[Path]:
    """Every file that the run's jobs will write: outputs, logs and benchmarks."""
    jobs = workflow.dag.needrun_jobs()
    return [Path(path) for job in jobs for path in (*job.output, *job.log, *([job.benchmark] if job.benchmark else []))]


def another_run_at_work() -> bool:
    """Whether a run holds Snakemake's lock on this working directory."""
    return any(Path(".snakemake/locks").glob("*"))


@functools.cache
def command() -> argparse.Namespace | None:
    """Options of the snakemake command that this process is, if it is one."""
    program = Path(sys.argv[0])
    if program.name != "snakemake" and program.parts[-2:] != ("snakemake", "__main__.py"):
        return None
    from snakemake.cli import get_argument_parser  # here, as nothing else of the library needs Snakemake

    with contextlib.suppress(SystemExit):
        return get_argument_parser().parse_known_args(sys.argv[1:])[0]
    return None


def runs_jobs() -> bool:
    """Whether this command runs jobs or, as a dry run, says which."""
    options = command()
    return bool(options) and all(getattr(options, option) in (None, False) for option in _NO_RUN)


def is_dry_run() -> bool:
    """Whether the command only says what would run."""
    return bool(command() and command().dryrun)


def is_unlocked() -> bool:
    """Whether the command does without Snakemake's lock."""
    return bool(command() and command().nolock)


def forced() -> tuple[bool, set[str]]:
    """(whether everything is forced to run again, the rules and files that are)."""
    options = command()
    if not options:
        return False, set()
    names = {*map(str, options.forcerun or ())} | ({*map(str, options.targets)} if options.force else set())
    return bool(options.forceall), names


def targets(workflow) -> list[str]:
    """The files that this run was asked for, on the command line or as the default target."""
    rules = {rule.name: rule for rule in workflow.rules}
    files = []
    for target in sorted(map(str, command().targets)) if command() and command().targets else [workflow.default_target]:
        if target not in rules:
            files.append(target)
        elif rules[target].output:
            files += [str(f) for f in rules[target].output if not f.contains_wildcard()]
        else:
            files += [str(f) for f in rules[target].expand_input({})[0]]
    return files


def parsed(snakefile: Path, overlays: list[str]) -> tuple[dict, list[str]]:
    """(globals of the Snakefile, files of its default target) with these config files, without running anything."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        settings = ConfigSettings(configfiles=[Path(path) for path in overlays])
        workflow = api.workflow(resource_settings=ResourceSettings(), config_settings=settings, snakefile=snakefile)._workflow
        default = next(rule for rule in workflow.rules if rule.name == workflow.default_target)
        return workflow.globals, [str(path) for path in default.expand_input({})[0]]


def running_script() -> tuple[Path, float]:
    """(the script that this process runs, when Snakemake wrote its copy of it: at the process's start)."""
    import __main__ as main  # Snakemake runs a copy of the script, and leaves the name of the original in __file__

    return Path(main.__file__).resolve(), Path(main.__real_file__).stat().st_mtime


def running_source() -> bytes:
    """The source that this process runs; Snakemake's copy has \\n at the ends of its lines."""
    import __main__ as main

    return Path(main.__real_file__).read_bytes().split(_PREAMBLE_END, 1)[1]
