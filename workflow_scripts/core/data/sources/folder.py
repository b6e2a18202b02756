"""A folder of source files, such as a repository or the interpreter's own library."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ...user_files import code_files
from .documents import NO_TEXT, Skipped, decode, decode_python

STDLIB_LICENCE = "Python Software Foundation License 2.0 (the interpreter's own library)"
TESTS = {"test", "tests", "idle_test"}  # of the interpreter's library


def check(*, path: Path, suffix: str, **_) -> None:
    """Raise InputError where there is no such folder, or no such file in it."""
    if not path.is_dir():
        raise InputError(f"corpus.path: {path} is not a folder that can be read; name an existing folder of source files")
    files, passed = code_files(path, (suffix,))
    if not files:
        why = f" that can be read ({passed[0][0]}: {passed[0][1]})" if passed else ""
        raise InputError(
            f"corpus.path: no file below {path} ends in {suffix!r}{why}; name a folder that holds such files or set corpus.suffix"
        )


def read(*, path: Path, suffix: str, **_) -> Iterator[tuple[str, str] | Skipped]:
    """Every file whose name ends in `suffix`, in the order of its path."""
    check(path=path, suffix=suffix)
    files, passed = code_files(path, (suffix,))
    yield from (Skipped(*one) for one in passed)
    yield from _texts(path, files, decode_python if suffix == ".py" else decode)


def read_stdlib(**_) -> Iterator[tuple[str, str] | Skipped]:
    """The interpreter's library without its tests."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [parts for parts in code_files(root, (".py",))[0] if not TESTS & {*parts[:-1]}]
    yield from _texts(root, files, decode_python)


def _texts(root: Path, files: list[tuple[str, ...]], decoded) -> Iterator[tuple[str, str] | Skipped]:
    for parts in files:
        name = "/".join(parts).encode("utf-8", "backslashreplace").decode()  # names may be in any encoding
        try:
            text = decoded(root.joinpath(*parts).read_bytes())
        except OSError as e:
            yield Skipped(name, f"unreadable: {e.strerror}")
            continue
        yield Skipped(name, NO_TEXT) if text is None else (name, text)
