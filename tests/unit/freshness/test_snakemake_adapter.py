"""One module alone knows Snakemake from inside, and what it uses there is there."""

import ast
import functools
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from workflow_scripts.core.freshness import snakemake_adapter as adapter
from workflow_scripts.core.freshness.code import SCRIPTS

HOME = Path(adapter.__file__)
# Snakemake's own names, as the adapter's docstring lists them
PRIVATE = {"default_target", "is_main_process", "is_producer", "get_wildcards", "_input", "set_input", "_onstart", "needrun_jobs"}
PRIVATE |= {"expand_input", "expand_output", "expand_params", "expand_benchmark", "dag", "dag_settings", "cached_or_run", "__real_file__"}
PRIVATE |= {"FileBackupMixin", "Executor", "SnakemakeApi", "_workflow", "get_argument_parser"}
PRIVATE |= {"modifier", "global_resources", "PATH_MODIFIER_FLAG"}


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every other module of the project, parsed."""
    return {p.relative_to(SCRIPTS).as_posix(): ast.parse(p.read_text(encoding="utf-8")) for p in SCRIPTS.rglob("*.py") if p != HOME}


def imported(tree: ast.Module) -> set[str]:
    """The packages that a module's import statements name, wherever they stand."""
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in names}


def test_no_other_module_imports_snakemake():
    assert "snakemake" in imported(ast.parse(HOME.read_text(encoding="utf-8")))
    assert [path for path, tree in modules().items() if "snakemake" in imported(tree)] == []


def test_no_other_module_uses_a_private_name():
    named = {path: {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} for path, tree in modules().items()}
    assert {path: names & PRIVATE for path, names in named.items() if names & PRIVATE} == {}
    assert not [path for path, tree in modules().items() if path != "core/job.py" and "__main__" in imported(tree)]


def test_the_docstring_lists_what_the_module_uses():
    source = HOME.read_text(encoding="utf-8").split('"""', 2)[2]
    for name in PRIVATE:
        assert all(re.search(rf"\b{name}\b", text) for text in (adapter.__doc__, source)), name


def test_what_the_module_uses_is_there():
    from snakemake.api import SnakemakeApi
    from snakemake.executors.local import Executor
    from snakemake.persistence import FileBackupMixin
    from snakemake.rules import Rule
    from snakemake.workflow import Workflow

    methods = "expand_input expand_output expand_params expand_benchmark is_producer get_wildcards set_input".split()
    for owner, names in {
        Rule: methods,
        Workflow: ["modifier", "is_main_process", "dag", "rules"],
        FileBackupMixin: ["backup_output", "restore_output", "cleanup_backup"],
        Executor: ["cached_or_run"],
        SnakemakeApi: ["workflow"],
    }.items():
        assert [name for name in names if not hasattr(owner, name)] == [], owner


@pytest.fixture
def command(monkeypatch):
    """command(*arguments): let this process be that snakemake command."""

    def become(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["/somewhere/bin/snakemake", *arguments])
        adapter.command.cache_clear()

    yield become
    adapter.command.cache_clear()


def test_the_options_are_those_of_snakemake():
    from snakemake.cli import get_argument_parser

    options = {action.dest for action in get_argument_parser()._actions}
    assert {*adapter._NO_RUN, "dryrun", "targets", "force", "forceall", "forcerun"} <= options


@pytest.mark.parametrize(
    ("arguments", "runs", "dry"),
    [
        ("--cores all", True, False),
        ("--cores 1 results/a.txt --configfile my.yaml", True, False),
        ("--cores all --forcerun train_sft", True, False),
        ("-n", True, True),
        ("--cores all --dry-run", True, True),
        ("--lint", False, False),
        ("--cores all --forceall", True, False),
        ("--touch --cores all", False, False),
        ("--dag", False, False),
        ("--report out.html", False, False),
        ("--summary", False, False),
        ("--unlock", False, False),
    ],
)
def test_which_commands_run_jobs(command, arguments, runs, dry):
    command(*arguments.split())
    assert (adapter.runs_jobs(), adapter.is_dry_run()) == (runs, dry)


def test_other_programs_run_none(monkeypatch):
    adapter.command.cache_clear()
    assert (adapter.runs_jobs(), adapter.is_dry_run(), adapter.forced()) == (False, False, (False, set()))
    adapter.command.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "everything", "names"),
    [
        ("--cores all", False, set()),
        ("--cores all --forceall", True, set()),
        ("--cores all --forcerun train_sft results/a.txt", False, {"train_sft", "results/a.txt"}),
        ("--cores all --force -- results/b.txt all", False, {"results/b.txt", "all"}),
        ("--cores all -- results/b.txt", False, set()),
    ],
)
def test_what_is_forced(command, arguments, everything, names):
    command(*arguments.split())
    assert adapter.forced() == (everything, names)


def test_a_job_that_stands_is_not_run_and_its_benchmark_is_new(tmp_path, monkeypatch):
    from snakemake.executors.local import Executor

    ran = []
    monkeypatch.setattr(Executor, "cached_or_run", lambda executor, job, function, *arguments: ran.append((job.rule, function, arguments)))
    adapter.skip(lambda rule, wildcards: rule == "same" and wildcards == {"arm": "A"})
    for rule in ("same", "other"):
        benchmark = str(tmp_path / rule)
        Executor.cached_or_run(None, SimpleNamespace(rule=rule, wildcards_dict={"arm": "A"}, benchmark=benchmark), "function", 1, 2)
    Executor.cached_or_run(None, SimpleNamespace(rule="same", wildcards_dict={"arm": "A"}, benchmark=None), "function")
    assert ran == [("other", "function", (1, 2))] and [p.name for p in tmp_path.iterdir() if p.name != ".canaryflow"] == ["same"]


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (1, 1), (20, 20), (None, 0)])
def test_a_job_elsewhere_knows_how_many_accelerators_the_run_that_sent_it_has(monkeypatch, limit, count):
    monkeypatch.delenv("CANARYFLOW_ACCELERATORS", raising=False)
    limits = {} if limit is None else {"gpu": SimpleNamespace(value=limit)}
    for is_main, global_resources in ((True, limits), (False, {})):
        assert adapter.accelerators(SimpleNamespace(is_main_process=is_main, global_resources=global_resources)) == count
