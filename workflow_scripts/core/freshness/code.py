"""Which code a script is made of: itself and every module of this project that it imports; and a digest of what a module does.

The digest is that of the parsed code without comments, docstrings and formatting: editing these re-runs nothing.
"""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import os
import sys
from pathlib import Path

from . import content

ROOT = Path(__file__).resolve().parents[3]  # the repository: code is named relative to it, so that clones agree
SCRIPTS = ROOT / "workflow_scripts"
# what decides when a stage runs and with which settings; receipts record both, so an edit shows where it changes a result
_DECIDES = {SCRIPTS / "core/job.py", SCRIPTS / "core/methods.py", *(SCRIPTS / "core/freshness").glob("*.py")}


def portable(path) -> str:
    """A path as receipts name it: relative to the repository, or else (`~/`) to the home folder, where it lies in one of them."""
    for absolute in (Path(path), Path(path).resolve()) if Path(path).is_absolute() else ():  # resolved: links may lead to ours
        if absolute.is_relative_to(ROOT):
            return absolute.relative_to(ROOT).as_posix()
    home = os.environ.get("HOME")
    return f"~/{Path(path).relative_to(home).as_posix()}" if home and Path(path).is_relative_to(home) else str(path)


def digest(file: str) -> str:
    """MD5 of what a module does, by its path relative to the repository; of its bytes where it does not parse.

    Raises FileNotFoundError where there is no such module.
    """
    path = ROOT / file
    return content.remembered(path, "code", lambda: _digest(path.read_bytes()))


def _digest(source: bytes) -> str:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hashlib.md5(source).hexdigest()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.md5(ast.dump(tree).encode()).hexdigest()


def closure(script: str) -> list[str]:
    """The modules of a script's code, relative to the repository; found by reading import statements, without running any."""
    todo, seen = [ROOT / script], set()
    while todo:
        file = todo.pop()
        if file not in seen and file not in _DECIDES:
            seen.add(file)
            todo += imports(file, (ROOT / script).parent)
    return sorted(f.relative_to(ROOT).as_posix() for f in seen)


@functools.cache
def imports(file: Path, beside: Path) -> tuple[Path, ...]:
    """Modules of this project that the import statements of `file` name; absolute ones start at the repository or in the script's folder.

    A package that mentions its `__path__` finds modules by their place in it, so all that lie there count.
    """
    modules = []
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            names, starts = [alias.name for alias in node.names], [ROOT, beside]
        elif isinstance(node, ast.ImportFrom):
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
            starts = [file.parents[node.level - 1]] if node.level else [ROOT, beside]
        else:
            modules += sorted(file.parent.glob("*.py")) if isinstance(node, ast.Name) and node.id == "__path__" else []
            continue
        for name in names:
            for start in starts:
                modules += _modules(start, name.split("."))
    return tuple(dict.fromkeys(modules))


def _modules(start: Path, parts: list[str]) -> list[Path]:
    """The files that importing `parts` from `start` runs: every package on the way and the module."""
    steps = [start.joinpath(*parts[:i]) for i in range(len(parts) + 1)]
    return [file for step in steps for file in (step.with_suffix(".py"), step / "__init__.py") if _is_file(file)]


@functools.cache
def _is_file(file: Path) -> bool:
    return _is_ours(file) and file.is_file()


def _is_ours(file: Path) -> bool:
    """In the repository, and not in an environment or another hidden folder of it."""
    inside = file.relative_to(ROOT).parts if file.is_relative_to(ROOT) else (".",)
    return not any(part.startswith(".") or part == "site-packages" for part in inside)


@functools.cache
def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):  # the job itself will report it
        return ast.Module(body=[], type_ignores=[])


def loaded() -> set[str]:
    """Modules of this project that this process has imported, also by other means than an import statement."""
    named = [f for m in list(sys.modules.values()) if (f := getattr(m, "__file__", None)) and f.endswith(".py")]
    files = {Path(f).resolve() for f in named if Path(f).is_absolute()}  # torch.classes names "_classes.py", which is no file
    return {f.relative_to(ROOT).as_posix() for f in files - _DECIDES if _is_ours(f)}


def forget_other_checkouts() -> None:
    """Take other copies of this project out of PYTHONPATH, which the jobs inherit: they would import those first."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(folder for folder in folders if folder and not Path(folder, SCRIPTS.name).is_dir())


def forget_bytecode() -> None:
    """Delete our modules' bytecode and write none in this run: Python trusts a .pyc that has the source's size and second."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    elsewhere = [Path(importlib.util.cache_from_source(str(f))) for f in SCRIPTS.rglob("*.py")] if sys.pycache_prefix else []
    for compiled in [*SCRIPTS.rglob("__pycache__/*.pyc"), *elsewhere]:
        with contextlib.suppress(OSError):  # somebody else's, in a folder that is not ours to write
            compiled.unlink()
