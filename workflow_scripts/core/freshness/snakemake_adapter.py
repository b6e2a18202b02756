"""The only module that touches private parts of Snakemake (9.27.1), and why each is needed. docs/caching.md: what to do at an upgrade.

workflow.rules, .default_target, .is_main_process     which rules there are, and whether this process decides or only runs a job
workflow.modifier                                     which of them are ours, and what they and their files are called in another workflow
workflow.global_resources                             how many accelerators the run has
Rule.expand_input, expand_output, expand_params,      what a rule declares for some wildcards
    expand_benchmark, is_producer, get_wildcards
Rule._input, Rule.set_input                           a copy of the rule as written, and one hidden input added to it
Workflow._onstart, dag.needrun_jobs(), dag_settings   a check before the first job
snakemake.cli.get_argument_parser                     the command line, which Snakemake passes on only after the Snakefile is read
persistence.FileBackupMixin                           old outputs stay in place while a job runs (outputflags: update), uncopied
executors.local.Executor.cached_or_run                a job whose inputs came out the same is not run
path_modifier.PATH_MODIFIER_FLAG                      our hidden input stays where it is, whatever prefix another workflow gives our files
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

from .code import SCRIPTS

# options with which Snakemake runs no job, but shows or tidies something
_NO_RUN = """archive cleanup_metadata cleanup_shadow conda_cleanup_envs conda_create_envs_only container_cleanup_images containerize d3dag dag
    delete_all_output delete_temp_output detailed_summary filegraph generate_unit_tests lint list_changes list_conda_envs
    list_input_changes list_params_changes list_rules list_target_rules list_untracked print_compilation report rulegraph summary touch
    unlock""".split()
_ACCELERATORS = "CANARYFLOW_ACCELERATORS"
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


def is_module(workflow) -> bool:
    """Whether another workflow is using this one as a module."""
    return not workflow.modifier.is_main_snakefile()


def is_whole(workflow) -> bool:
    """Whether all our rules are in use, and none with something of another workflow's in it."""
    modifier = workflow.modifier
    return modifier.rule_whitelist is None and not modifier.rule_exclude_list and modifier.ruleinfo_overwrite is None


def rules_with_outputs(workflow) -> list:
    """Our rules that make something."""
    return [rule for rule in workflow.rules if rule.output and rule in workflow.modifier.rules]


def placed(workflow, path: str) -> str:
    """Where a file of ours is: below the prefix that another workflow may have given."""
    return str(workflow.modifier.modify_path(path))


def accelerators(workflow) -> int:
    """How many the run's jobs may hold at a time, by `resources: [gpu=N]`; 0 where nothing says so.

    A job's process on a cluster is not told of that limit, and would ask for what it did not get; so the environment tells it.
    """
    if workflow.is_main_process:
        limit = workflow.global_resources.get("gpu")
        os.environ[_ACCELERATORS] = str(limit.value if limit is not None and limit.value else 0)
    return int(os.environ.get(_ACCELERATORS, "0"))


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


def hidden(path: Path, *, counts: bool) -> str:
    """An input in our own folder, whose time counts or does not."""
    from snakemake.io import ancient, flag
    from snakemake.path_modifier import PATH_MODIFIER_FLAG

    file = flag(str(path), PATH_MODIFIER_FLAG)
    return file if counts else ancient(file)


def keep_old_outputs(workflow) -> None:
    """Let old outputs of ours stay in place while a job runs, without the backup copies that Snakemake makes of them.

    Our jobs replace an output only by a whole new one, so after a failure what is there is the old one, untouched. A copy that a killed
    job leaves behind would also let the next attempt fail.
    """
    from snakemake.persistence import FileBackupMixin as Backup

    rules = rules_with_outputs(workflow)

    def unless_ours(method: Callable, instead: Callable) -> Callable:
        return lambda self, path: instead(path) if any(rule.is_producer(str(path)) for rule in rules) else method(self, path)

    Backup.backup_output = unless_ours(Backup.backup_output, lambda path: None)
    Backup.restore_output = unless_ours(Backup.restore_output, Path.exists)
    Backup.cleanup_backup = unless_ours(Backup.cleanup_backup, lambda path: None)


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
    """Let our scripts, from their first line on, end without a traceback at Ctrl-C, and import their libraries without looking for garbage,
    which takes a fifth of a model's job's start; core/job.py then says more, and looks for garbage again. Threads of a job that wait for
    each other spin for some 10 microseconds and then sleep: spinning as long as OpenMP does by itself makes a job of two threads up to 80
    times slower beside other work, sleeping at once makes it a third slower on an idle machine.
    """
    from snakemake.script import PythonScript

    preamble = PythonScript.get_preamble
    PythonScript.get_preamble = lambda script: (_FIRST if _is_ours(script.path) else "") + preamble(script)


def _is_ours(source) -> bool:
    return Path(os.path.realpath(source.get_path_or_uri(secret_free=True))).is_relative_to(SCRIPTS)


def before_first_job(workflow, check: Callable[[object], None]) -> None:
    """Call `check(workflow)` once the jobs are known, before the first one starts."""
    others = workflow._onstart
    workflow._onstart = lambda log: (check(workflow), others(log))


def triggers(workflow) -> set[str]:
    """Names of the rerun triggers in force."""
    return {trigger.name for trigger in workflow.dag_settings.rerun_triggers}


def written_by_run(workflow, rules) -> list[Path]:
    """Every file that the run's jobs of these rules will write: outputs, logs and benchmarks."""
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule in rules]
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
    """The files that this run was asked for, on the command line or as the default target; as a module, all that ours would make."""
    rules = {rule.name: rule for rule in workflow.rules}
    asked = sorted(map(str, command().targets)) if command() and command().targets else [workflow.default_target]
    files = []
    if is_module(workflow):
        asked = rules.keys() & {workflow.modifier.modify_rulename("all")}
    for target in asked:
        if target not in rules:
            files.append(target)
        elif rules[target].output:
            files += [str(f) for f in rules[target].output if not f.contains_wildcard()]
        else:
            files += [str(f) for f in rules[target].expand_input({})[0]]
    return files


def merged(configs: list[dict]) -> dict:
    """Config files as Snakemake puts one on top of the other: maps merge key by key, lists replace."""
    from snakemake.utils import update_config

    whole: dict = {}
    for config in configs:
        update_config(whole, config)
    return whole


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


def running_copy() -> Path:
    """The copy of a script that this process runs, which holds all that the job was told."""
    import __main__ as main

    return Path(main.__real_file__)


def rule_of(snakemake) -> str:
    """The rule of a job by our name, which is its script's; a workflow that uses ours as a module gives it another."""
    import __main__ as main

    return running_script()[0].stem if hasattr(main, "__real_file__") else snakemake.rule


def running_source() -> bytes:
    """The source that this process runs; Snakemake's copy has \\n at the ends of its lines."""
    import __main__ as main

    return Path(main.__real_file__).read_bytes().split(_PREAMBLE_END, 1)[1]
