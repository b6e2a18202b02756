"""Which code a script is made of: itself and every module of this project that it imports; and a digest of what a module does.

The digest is that of the parsed code without comments, docstrings and formatting: editing these re-runs nothing.
"""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from . import content

ROOT = Path(__file__).resolve().parents[3]  # the repository: code is named relative to it, so that clones agree
SCRIPTS = ROOT / "workflow_scripts"
# what decides when a stage runs and with which settings; receipts record both, so an edit shows where it changes a result
_DECIDES = {SCRIPTS / "core/job.py", SCRIPTS / "core/worker.py", SCRIPTS / "core/methods.py", *(SCRIPTS / "core/freshness").glob("*.py")}


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
    return _read(ROOT / file, "code", _digest)


def _read(path: Path, what: str, compute: Callable[[bytes], str]) -> str:
    """What `compute` makes of a module's source, for each content once, wherever it lies: also in a clone or a copy of the project."""
    what = f"{what} of Python {sys.version_info.major}.{sys.version_info.minor}"
    return content.remembered(path, what, lambda: content.remembered_of(path.read_bytes(), what, compute))


def _digest(source: bytes) -> str:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hashlib.md5(source).hexdigest()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.md5(ast.dump(tree).encode()).hexdigest()


@functools.cache
def closure(script: str) -> tuple[str, ...]:
    """The modules of a script's code, relative to the repository; found by reading import statements, without running any."""
    todo, seen = [ROOT / script], set()
    while todo:
        file = todo.pop()
        if file not in seen and file not in _DECIDES:
            seen.add(file)
            todo += imports(file, (ROOT / script).parent)
    return tuple(sorted(f.relative_to(ROOT).as_posix() for f in seen))


@functools.cache
def imports(file: Path, beside: Path) -> tuple[Path, ...]:
    """Modules of this project that the import statements of `file` name; absolute ones start at the repository or in the script's folder.

    A package that mentions its `__path__` finds modules by their place in it, so all that lie there count.
    """
    try:
        named = json.loads(_read(file, "imports", _imports))
    except OSError:  # the job itself will report it
        return ()
    modules = sorted(file.parent.glob("*.py")) if named["looks_around"] else []
    for level, name in named["names"]:
        for start in [file.parents[level - 1]] if level else [ROOT, beside]:
            modules += _modules(start, name)
    return tuple(dict.fromkeys(modules))


def _imports(source: bytes) -> str:
    """JSON of the names in import statements, [level, name], with level 0 for absolute ones, and whether `__path__` is mentioned."""
    names, looks_around = [], False
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # the job itself will report it
        tree = ast.Module(body=[], type_ignores=[])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [(node.level, ".".join(filter(None, (node.module, alias.name)))) for alias in node.names]
        looks_around |= isinstance(node, ast.Name) and node.id == "__path__"
    return json.dumps({"names": names, "looks_around": looks_around})


@functools.cache
def _modules(start: Path, name: str) -> tuple[Path, ...]:
    """The files that importing `name` from `start` runs: every package on the way and the module."""
    parts = name.split(".")
    steps = [start.joinpath(*parts[:i]) for i in range(1 + len(parts) * (parts[0] in _stems(start)))]  # most names are a library's
    return tuple(file for step in steps for file in (step.with_suffix(".py"), step / "__init__.py") if file.is_file() and _is_ours(file))


@functools.cache
def _stems(folder: Path) -> frozenset[str]:
    return frozenset(name.removesuffix(".py") for name in os.listdir(folder))  # noqa: PTH208  # names, no paths


def _is_ours(file: Path) -> bool:
    """In the repository, and not in an environment or another hidden folder of it."""
    inside = file.relative_to(ROOT).parts if file.is_relative_to(ROOT) else (".",)
    return not any(part.startswith(".") or part == "site-packages" for part in inside)


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
