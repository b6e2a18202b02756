"""A folder of source files, such as a repository or the interpreter's own library."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ...user_files import check_readable, code_files, is_folder, is_here, kind_of, shown
from .documents import Skipped, decode, decode_python, read_files

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
STDLIB_LICENCE = "Python Software Foundation License 2.0 (the interpreter's own library)"
TESTS = {"test", "tests", "idle_test"}  # of the interpreter's library


def check(*, path: Path, suffix: str, **_) -> None:
    """Raise InputError where there is no such folder, or no such file in it."""
    if not is_folder(path):
        if is_here(path):
            check_readable(path, "corpus.path")
        what = f"a {kind_of(path)} file" if is_here(path) else "not a folder that can be read"
        raise InputError(f"corpus.path: {path} is {what}; name an existing folder of source files")
    files, passed = _files(path, suffix)
    if not files:
        why = f" that can be read ({passed[0].path}: {passed[0].reason})" if passed else ""
        raise InputError(
            f"corpus.path: no file below {path} ends in {suffix!r}{why}; name a folder that holds such files or set corpus.suffix"
        )


def read(*, path: Path, suffix: str, **_) -> Iterator[tuple[str, str] | Skipped]:
    """Every file whose name ends in `suffix`, in the order of its path."""
    check(path=path, suffix=suffix)
    files, passed = _files(path, suffix)
    yield from passed
    yield from read_files(path, files, decode_python if suffix == ".py" else decode)


def _files(root: Path, suffix: str) -> tuple[list[tuple[str, ...]], list[Skipped]]:
    """The files to be read, and what is passed over: compressed ones, too."""
    files, passed = code_files(root, (suffix, *(suffix + ending for ending in COMPRESSED)))
    read = [parts for parts in files if parts[-1].endswith(suffix)]
    packed = [Skipped(shown("/".join(parts)), "compressed") for parts in files if not parts[-1].endswith(suffix)]
    return read, [*(Skipped(*one) for one in passed), *packed]


def read_stdlib(**_) -> Iterator[tuple[str, str] | Skipped]:
    """The interpreter's library without its tests."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [parts for parts in code_files(root, (".py",))[0] if not TESTS & {*parts[:-1]}]
    yield from read_files(root, files, decode_python)
