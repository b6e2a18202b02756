"""A script's code is itself and all that it imports of the project, in whatever form; a module counts by what it does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_scripts.core.freshness import code, content

CORE = "workflow_scripts/core"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """An empty project in the place of this one."""
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setattr(code, "SCRIPTS", tmp_path / "scripts")
    monkeypatch.setattr(code, "_DECIDES", {tmp_path / "lib/freshness.py"})
    monkeypatch.chdir(tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """Let the modules be read again."""
    for cached in (code.closure, code.imports, code._modules, content._opened):
        cached.cache_clear()


def write(project: Path, **files: str) -> None:
    """Files by path, "/" as "__"; every folder is a package."""
    for name, text in files.items():
        path = project / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)


@pytest.mark.parametrize(
    ("statement", "imported"),
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
def test_closure(project, statement, imported):
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
    assert set(code.closure("scripts/run.py")) - packages == {"scripts/run.py", *imported}


def test_a_package_that_looks_for_modules_counts_with_all_of_them(project):
    write(project, lib__here="", lib__registry__one="import lib.here", lib__registry__two="", scripts__run="from lib import registry")
    assert "lib/registry/one.py" not in code.closure("scripts/run.py")
    forget()
    (project / "lib/registry/__init__.py").write_text("import pkgutil\nfound = list(pkgutil.iter_modules(__path__))")
    assert {"lib/registry/one.py", "lib/registry/two.py", "lib/here.py"} <= set(code.closure("scripts/run.py"))


def test_environments_and_hidden_folders_are_not_ours(project):
    write(project, **{"env__site-packages__x": "", ".venv__y": "", "scripts__run": "import env, lib"})
    assert not code._is_ours(project / "env/site-packages/x.py") and not code._is_ours(project / ".venv/y.py")
    assert not code._is_ours(Path("/elsewhere/z.py")) and code._is_ours(project / "scripts/run.py")


def test_every_script_of_the_workflow_knows_its_science():
    closure = {path.stem: set(code.closure(f"workflow_scripts/{path.name}")) for path in code.SCRIPTS.glob("*.py")}
    assert f"{CORE}/training/ppo.py" in closure["train_ppo"] and f"{CORE}/lm/packing.py" in closure["train_ppo"]
    assert f"{CORE}/training/ppo.py" not in closure["train_sft"] | closure["probe_policy"]
    assert f"{CORE}/training/trainer.py" not in closure["train_ppo"] | closure["score_rewards"]
    assert f"{CORE}/training/checkpoints.py" in closure["train_sft"] & closure["train_ipo"] & closure["train_reward_single"]
    assert f"{CORE}/training/by_trl/ppo.py" in closure["train_ppo_trl"]
    packed = {name for name in closure if not name.endswith("_trl")}
    assert not any(f"{CORE}/training/by_trl/" in module for name in packed for module in closure[name])
    decides = {
        f"{CORE}/job.py",
        f"{CORE}/methods.py",
        *(f"{CORE}/freshness/{path.name}" for path in (code.SCRIPTS / "core/freshness").iterdir()),
    }
    assert not any(files & decides for files in closure.values())


def test_what_was_really_imported_is_within_what_was_read():
    """The static closure misses nothing that importing a script's modules loads; of all scripts that need no torch."""
    scripts = [
        path for path in code.SCRIPTS.glob("*.py") if path.stem.startswith(("audit", "collect", "extract", "plot", "render", "summarize"))
    ]
    statements = {
        ast.unparse(node) for path in scripts for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
    }
    program = "\n".join([*sorted(statements), "from workflow_scripts.core.freshness import code", "print(*code.loaded())"])
    done = subprocess.run([sys.executable, "-c", program], cwd=code.ROOT, capture_output=True, text=True, check=True)
    read = {file for script in scripts for file in code.closure(f"workflow_scripts/{script.name}")}
    loaded = set(done.stdout.split())
    assert len(loaded) > 20 and loaded <= read - {f"workflow_scripts/{script.name}" for script in scripts}


NAMES = [("lib/a.py", "lib/a.py"), ("/elsewhere/a", "/elsewhere/a"), ("{root}/lib/a.py", "lib/a.py"), ("/home/me/code", "~/code")]


@pytest.mark.parametrize(("given", "named"), NAMES)
def test_paths_are_named_so_that_a_clone_elsewhere_agrees(given, named, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert code.portable(given.format(root=code.ROOT)) == named


# ------------------------------------------------------------------------------------------------------------------ digests

MODULE = '''"""Of the module."""

# a comment
RATE = 0.5
NAMES = {"a": "x" "y", "b": """no docstring"""}


class Settings:
    """Of the class."""

    size: int = 3


def half(value: float) -> float:
    """Of the function."""
    "an expression, and no docstring"
    return value * RATE  # behind code


async def later():
    """All that there is."""
'''
EDITS = {
    "comments": [("# a comment\n", "# another\n# and one more\n"), ("  # behind code", "")],
    "docstrings": [("Of the module", "Of this\n\nmodule"), ('    """Of the class."""\n\n', ""), ("Of the function", "Halves")],
    "formatting": [
        ('x" "y', "xy"),
        ("value * RATE", "(\n        value *\n        RATE\n    )"),
        ("\n\n\nclass", "\nclass"),
        ('"a"', "'a'"),
    ],
    "line ends": [("\n", "\r\n")],
}
CHANGES = [
    ("0.5", "0.25"),
    ('b": """no', 'b": """another'),
    ("an expression", "an edit"),
    ("size: int", "size: float"),
    ("value *", "value /"),
]


def digest_of(project: Path, text: str) -> str:
    (project / "lib").mkdir(exist_ok=True)
    (project / "lib/module.py").write_bytes(text.encode())
    return code.digest("lib/module.py")


@pytest.mark.parametrize("edits", [*EDITS.values(), [pair for pairs in EDITS.values() for pair in pairs]], ids=[*EDITS, "all of them"])
def test_comments_docstrings_and_formatting_leave_the_digest(project, edits):
    before, text = digest_of(project, MODULE), MODULE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    assert text != MODULE and digest_of(project, text) == before


@pytest.mark.parametrize(("old", "new"), CHANGES, ids=[old for old, _ in CHANGES])
def test_any_change_of_what_a_module_does_changes_the_digest(project, old, new):
    assert MODULE.count(old) == 1 and digest_of(project, MODULE.replace(old, new)) != digest_of(project, MODULE)


def test_modules_that_do_not_parse_count_by_their_bytes_and_missing_ones_are_an_error(project):
    assert digest_of(project, "def f(:  # one") != digest_of(project, "def f(:  # two") == digest_of(project, "def f(:  # two")
    with pytest.raises(FileNotFoundError):
        code.digest("lib/nowhere.py")


def test_a_digest_is_remembered_beside_the_hash_of_the_file_and_for_the_same_content_elsewhere(project, monkeypatch):
    monkeypatch.setattr(content, "RACY_S", -1)
    once, path = digest_of(project, MODULE), project / "lib/module.py"
    assert content.md5(path) != once and code.digest("lib/module.py") == once
    monkeypatch.setattr(code, "_digest", None)  # a call would be a TypeError
    assert code.digest("lib/module.py") == once
    (project / "lib/copy.py").write_bytes(path.read_bytes())
    assert code.digest("lib/copy.py") == once
    with pytest.raises(TypeError):
        digest_of(project, MODULE.replace("0.5", "0.25"))
