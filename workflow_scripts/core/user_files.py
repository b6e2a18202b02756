"""Files and folders that users bring (code, a model): which of their files count, and what each is.

Paths are taken literally but for a leading `~`. In a folder of code only what the source reads counts; in any other folder every file
but hidden ones and documentation. So a `git fetch`, a test run or a README beside the code changes nothing.
"""

import os
import stat
from pathlib import Path

from .errors import InputError

# folders in which no code of the user's own lies: version control, environments, dependencies, caches
LEFT_OUT = {
    *(".git", ".hg", ".svn", ".dvc", ".venv", "venv", ".tox", ".nox", "node_modules", "site-packages", "dist-packages", "__pycache__"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", ".cache", ".snakemake", ".canaryflow"),
}
LARGEST = 64 * 2**20  # bytes of a file that may be code
NOT_OWN = "left out: version control, an environment, dependencies, a cache or results"
_DOCUMENTATION = ("readme", "license", "licence", "notice", "changelog")
_MAGIC = {  # first bytes of a file -> what it is
    b"PAR1": "parquet",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
    b"ARROW1": "arrow",
    b"SQLite format 3": "sqlite",
    b"GGUF": "gguf",
    b"\x80\x04": "pickle",
    b"\x80\x05": "pickle",
    b"%PDF": "pdf",
}


def user_path(path: str, key: str) -> Path:
    """The path with `~` filled in. Raises InputError, which names the config's `key`, where there is no such home, or a variable is meant."""
    place = Path(expanded := os.path.expanduser(path))  # noqa: PTH111  # a Path would forget the first part of ./~
    if path.startswith("~") and expanded == path:
        raise InputError(f"{key}: the home folder in {path!r} is not known on this machine; write the whole path")
    if os.path.expandvars(path) != path and not is_here(place):
        raise InputError(f"{key}: variables as in {path!r} are not filled in; write the whole path, or ~ for the home folder")
    return place


def shown(name: str) -> str:
    """A file's name, which may be in any encoding, as text of UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def is_here(path: Path) -> bool:
    """Whether there is a file or a folder; False, too, where a folder above may not be read, or the path cannot be one."""
    return os.path.isfile(path) or is_folder(path)  # noqa: PTH113  # Path.is_file raises where a folder is closed or a name too long


def is_folder(path: Path) -> bool:
    """Whether there is a folder; False as for `is_here`."""
    return os.path.isdir(path)  # noqa: PTH112


def code_files(root: Path, suffixes: tuple[str, ...], largest: int | None = LARGEST) -> tuple[list[tuple[str, ...]], list[tuple[str, str]]]:
    """The files below `root` that end in one of `suffixes` and have at most `largest` bytes, as sorted parts of their paths, and (path,
    reason) of what is passed over.

    Links that lead out of the folder are not followed, as what they point at may not be meant to be read; nor are links to folders
    within it, which are read under their own name. Folders in LEFT_OUT, environments and this workflow's own results are left out.
    """
    whole, here = root.resolve(), os.path.realpath(".")
    found, passed = [], []

    def passed_over(path: str, reason: str) -> None:
        passed.append((shown(os.path.relpath(path, root)), reason))

    def unreadable(error: OSError) -> None:
        passed_over(error.filename, f"unreadable: {error.strerror}")

    for folder, folders, names in os.walk(root, onerror=unreadable):
        parts = Path(folder).relative_to(root).parts
        kept = []
        for name in sorted(folders):
            path = os.path.join(folder, name)  # noqa: PTH118  # a Path for each of a million files takes three times as long
            if os.path.islink(path):  # noqa: PTH114
                passed_over(path, _of_link(path, whole) or "a link to a folder that is read under its own name")
            elif name in LEFT_OUT or _is_ours(path, name, here) or os.path.exists(os.path.join(path, "pyvenv.cfg")):  # noqa: PTH110, PTH118
                if name != "__pycache__" or any(inner.endswith(suffixes) for inner in os.listdir(path)):  # noqa: PTH208
                    passed_over(path, NOT_OWN)
            else:
                kept.append(name)
        folders[:] = kept
        for name in names:
            if name.endswith(suffixes):
                path = os.path.join(folder, name)  # noqa: PTH118
                reason = _of_link(path, whole) if os.path.islink(path) else None  # noqa: PTH114
                if reason := reason or _of_file(path, largest):
                    passed_over(path, reason)
                else:
                    found.append((*parts, name))
    return sorted(found), sorted(passed)


def _is_ours(path: str, name: str, here: str) -> bool:
    """Whether a folder is this workflow's own results or logs, below the folder where it works."""
    return name in ("results", "logs") and os.path.realpath(path) == os.path.join(here, name)  # noqa: PTH118


def _of_link(path: str, root: Path) -> str | None:
    """Why a link is not followed; None where it may be."""
    target = Path(os.path.realpath(path))
    if not os.path.lexists(target):
        return "a broken link"
    return None if target.is_relative_to(root) else "a link to outside the folder"


def _of_file(path: str, largest: int | None) -> str | None:
    """Why a file is not read; None where it may be."""
    try:
        about = os.stat(path)  # noqa: PTH116
    except OSError as e:
        return f"unreadable: {e.strerror}"
    if not stat.S_ISREG(about.st_mode):
        return "not a regular file"
    return f"larger than {largest >> 20} MiB" if largest and about.st_size > largest else None


def data_files(root: Path) -> list[tuple[str, ...]]:
    """Every regular file below a folder but hidden ones and documentation, links followed: what a model or a data set is made of."""
    found, seen = [], set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real, parts = os.path.realpath(folder), Path(folder).relative_to(root).parts
        if real in seen:  # links may form a circle
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in LEFT_OUT)
        seen.add(real)
        for name in names:
            is_about = name.startswith(".") or name.lower().startswith(_DOCUMENTATION) or name.lower().endswith(".md")
            if not is_about and Path(folder, name).is_file():
                found.append((*parts, name))
    return sorted(found)


def counting_files(root: Path, endings: tuple[str, ...] | None) -> list[tuple[str, ...]]:
    """What counts of a folder: its code files where there are `endings`, else its data files."""
    return code_files(root, tuple(endings), largest=None)[0] if endings else data_files(root)


def check_readable(path: Path, key: str) -> None:
    """Raise InputError where a file cannot be opened, or reading it might never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{key}: {path} is a {'folder' if path.is_dir() else 'pipe or device'}, not a file; name a file")
        with open(path, "rb"):
            pass
    except OSError as e:
        raise InputError(f"{key}: {path} cannot be read ({e.strerror}); name an existing file that you may read") from e


def kind_of(path: Path) -> str:
    """What a file is by its first bytes: parquet, gzip, zip, ..., "json array", "text" or "binary"."""
    with open(path, "rb") as stream:
        start = stream.read(4096)
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    if b"\0" in start:
        return "binary"
    return "json array" if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[" else "text"
