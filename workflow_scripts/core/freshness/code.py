"""Which code a script is made of: itself and every module of this project that it imports, directly or through others."""

import ast
import contextlib
import functools
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]  # the repository: code is named relative to it, so that a clone elsewhere agrees
SCRIPTS = ROOT / "workflow_scripts"
_OURSELVES = {SCRIPTS / "core/job.py", *(SCRIPTS / "core/freshness").glob("*.py")}  # when a stage runs, not what it computes


def portable(path) -> str:
    """A path as receipts name it: relative to the repository or else (`~/`) to the home folder where it lies in it, as it is elsewhere."""
    for absolute in (Path(path), Path(path).resolve()) if Path(path).is_absolute() else ():  # resolved: ours may be reached by a link
        if absolute.is_relative_to(ROOT):
            return absolute.relative_to(ROOT).as_posix()
    home = os.environ.get("HOME")
    return f"~/{Path(path).relative_to(home).as_posix()}" if home and Path(path).is_relative_to(home) else str(path)


def closure(script: str) -> list[str]:
    """The files of a script's code, relative to the repository; found by reading import statements, without running any."""
    todo, seen = [ROOT / script], set()
    while todo:
        file = todo.pop()
        if file not in seen and file not in _OURSELVES:
            seen.add(file)
            todo += imports(file, (ROOT / script).parent)
    return sorted(f.relative_to(ROOT).as_posix() for f in seen)


@functools.cache
def imports(file: Path, beside: Path) -> tuple[Path, ...]:
    """Files of this project that the import statements of `file` name; absolute ones start at the repository or in the script's folder.

    A package that mentions its `__path__` finds modules by their place in it, so all that lie there count.
    """
    found = []
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            names, starts = [alias.name for alias in node.names], [ROOT, beside]
        elif isinstance(node, ast.ImportFrom):
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
            starts = [file.parents[node.level - 1]] if node.level else [ROOT, beside]
        else:
            found += sorted(file.parent.glob("*.py")) if isinstance(node, ast.Name) and node.id == "__path__" else []
            continue
        for name in names:
            for start in starts:
                found += _modules(start, name.split("."))
    return tuple(dict.fromkeys(found))


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
    except (OSError, SyntaxError):  # the job will say so itself
        return ast.Module(body=[], type_ignores=[])


def loaded() -> set[str]:
    """Files of this project that this process has imported, also by other means than an import statement."""
    named = [f for m in list(sys.modules.values()) if (f := getattr(m, "__file__", None)) and f.endswith(".py")]
    files = {Path(f).resolve() for f in named if Path(f).is_absolute()}  # torch.classes says "_classes.py", which is no file
    return {f.relative_to(ROOT).as_posix() for f in files - _OURSELVES if _is_ours(f)}


def forget_bytecode() -> None:
    """Delete our modules' bytecode and let nothing of this run write it: Python trusts one that has the source's size and second."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    elsewhere = [Path(importlib.util.cache_from_source(str(f))) for f in SCRIPTS.rglob("*.py")] if sys.pycache_prefix else []
    for compiled in [*SCRIPTS.rglob("__pycache__/*.pyc"), *elsewhere]:
        with contextlib.suppress(OSError):  # somebody else's, in a folder that is not ours to write
            compiled.unlink()
