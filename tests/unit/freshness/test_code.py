"""A script's code is itself and all that it imports of the project, however it says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from workflow_scripts.core.freshness import code

CORE = "workflow_scripts/core"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """An empty project in the place of this one."""
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setattr(code, "SCRIPTS", tmp_path / "scripts")
    monkeypatch.setattr(code, "_OURSELVES", {tmp_path / "lib/freshness.py"})
    for cached in (code.imports, code._is_file, code._parsed):
        cached.cache_clear()
    yield tmp_path
    for cached in (code.imports, code._is_file, code._parsed):
        cached.cache_clear()


def write(project: Path, **files: str) -> None:
    """Files by path, "/" as "__"; every folder is a package."""
    for name, text in files.items():
        path = project / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("import lib.a", {"lib/a.py"}),
        ("import lib.a as x, os", {"lib/a.py"}),
        ("from lib import a", {"lib/a.py"}),
        ("from lib.a import value", {"lib/a.py"}),
        ("from lib import b", {"lib/b.py", "lib/a.py"}),  # which imports a
        ("from lib.deep import c", {"lib/deep/__init__.py", "lib/deep/c.py", "lib/a.py"}),  # from ..a import
        ("import beside", {"scripts/beside.py"}),  # the script's own folder is on the path
        ("def later():\n    from lib import a", {"lib/a.py"}),
        ("if True:\n    import lib.cycle", {"lib/cycle.py"}),
        ("import numpy, lib.nothing", set()),
        ("from lib import freshness", set()),
        ("import lib.broken", {"lib/broken.py"}),
    ],
)
def test_closure(project, statement, found):
    write(
        project,
        lib__a="",
        lib__b="from . import a",
        lib__deep__c="from ..a import x",
        lib__cycle="import scripts.run",
        lib__freshness="import lib.a",
        lib__broken="def f(:",
        lib__other="",
        scripts__beside="",
        scripts__run=statement,
    )
    packages = {"lib/__init__.py", "scripts/__init__.py"}
    assert set(code.closure("scripts/run.py")) - packages == {"scripts/run.py", *found}


def test_a_package_that_looks_for_modules_counts_with_all_of_them(project):
    write(project, lib__here="", lib__registry__one="import lib.here", lib__registry__two="", scripts__run="from lib import registry")
    assert "lib/registry/one.py" not in code.closure("scripts/run.py")
    code.imports.cache_clear(), code._parsed.cache_clear()
    (project / "lib/registry/__init__.py").write_text("import pkgutil\nfound = list(pkgutil.iter_modules(__path__))")
    assert {"lib/registry/one.py", "lib/registry/two.py", "lib/here.py"} <= set(code.closure("scripts/run.py"))


def test_environments_and_hidden_folders_are_not_ours(project):
    write(project, **{"env__site-packages__x": "", ".venv__y": "", "scripts__run": "import env, lib"})
    assert not code._is_ours(project / "env/site-packages/x.py") and not code._is_ours(project / ".venv/y.py")
    assert not code._is_ours(Path("/elsewhere/z.py")) and code._is_ours(project / "scripts/run.py")


def test_every_script_of_the_workflow_knows_its_science():
    closure = {path.stem: set(code.closure(f"workflow_scripts/{path.name}")) for path in code.SCRIPTS.glob("*.py")}
    assert f"{CORE}/training/ppo.py" in closure["train_ppo"] and f"{CORE}/training/packing.py" in closure["train_ppo"]
    assert f"{CORE}/training/ppo.py" not in closure["train_sft"] | closure["probe_policy"]
    assert f"{CORE}/training/trainer.py" not in closure["train_ppo"] | closure["score_rewards"]
    assert f"{CORE}/training/checkpoints.py" in closure["train_sft"] & closure["train_ipo"] & closure["train_reward_model"]
    assert not any(
        "freshness" in file or file.endswith("job.py") for files in closure.values() for file in files if "artifacts" not in file
    )


def test_what_was_really_imported_is_within_what_was_read():
    """The static closure misses nothing that importing a script's modules loads."""
    program = (
        "import sys; from workflow_scripts.core.freshness import code\n"
        "from workflow_scripts.core.results import cost, dag, report, shift, tables, utility\n"
        "print(*sorted(code.loaded()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=code.ROOT, capture_output=True, text=True, check=True)
    scripts = ("summarize_cost", "plot_workflow", "plot_shift", "render_report", "summarize_memorization", "summarize_utility")
    read = {file for script in scripts for file in code.closure(f"workflow_scripts/{script}.py")}
    loaded = set(done.stdout.split())
    assert f"{CORE}/results/shift.py" in loaded and loaded <= read


NAMES = [("lib/a.py", "lib/a.py"), ("/elsewhere/a", "/elsewhere/a"), ("{root}/lib/a.py", "lib/a.py"), ("/home/me/code", "~/code")]


@pytest.mark.parametrize(("given", "named"), NAMES)
def test_paths_are_named_so_that_a_clone_elsewhere_agrees(given, named, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert code.portable(given.format(root=code.ROOT)) == named
