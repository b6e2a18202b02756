"""A folder of source files, such as a repository or the interpreter's own library."""

import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ...errors import InputError
from ...user_files import check_readable, code_files, is_folder, is_here, kind_of, shown
from ..languages import LANGUAGES
from . import notebooks
from .documents import Document, Skipped, decode, decode_python, read_files

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
STDLIB_LICENCE = "Python Software Foundation License 2.0 (the interpreter's own library)"
TESTS = {"test", "tests", "idle_test"}  # of the interpreter's library


def endings(*, suffix: str | None, language: str, **_) -> tuple[str, ...]:
    """How names of files end that are read: as corpus.suffix says, or as those of the language do."""
    return (suffix,) if suffix else LANGUAGES[language].endings


def check(*, path: Path, suffix: str | None, language: str, **_) -> None:
    """Raise InputError where there is no such folder, or no such file in it."""
    if not is_folder(path):
        if is_here(path):
            check_readable(path, "corpus.path")
        what = f"a {kind_of(path)} file" if is_here(path) else "not a folder that can be read"
        raise InputError(f"corpus.path: {path} is {what}; name an existing folder of source files")
    ends = endings(suffix=suffix, language=language)
    files, passed = _files(path, ends)
    if not files:
        why = f" that can be read ({passed[0].path}: {passed[0].reason})" if passed else ""
        raise InputError(
            f"corpus.path: no file below {path} ends in {' or '.join(map(repr, ends))}{why}{_instead(path)}; "
            "name a folder that holds such files or set corpus.suffix"
        )


def read(*, path: Path, suffix: str | None, language: str, **_) -> Iterator[Document | Skipped]:
    """Every file whose name ends in `suffix`, or as files of the language do, in the order of its path; of notebooks the code cells."""
    check(path=path, suffix=suffix, language=language)
    files, passed = _files(path, endings(suffix=suffix, language=language))
    yield from passed
    for parts in files:
        yield from read_files(path, [parts], _decoder(parts[-1], language))


def _decoder(name: str, language: str) -> Callable[[bytes], str | None]:
    if name.endswith(".ipynb"):
        return partial(notebooks.decode, language=language)
    return decode_python if language == "python" else decode


def _files(root: Path, ends: tuple[str, ...]) -> tuple[list[tuple[str, ...]], list[Skipped]]:
    """The files to be read, and what is passed over: compressed ones, too."""
    files, passed = code_files(root, (*ends, *(end + packed for end in ends for packed in COMPRESSED)))
    read = [parts for parts in files if parts[-1].endswith(ends)]
    packed = [Skipped(shown("/".join(parts)), "compressed") for parts in files if not parts[-1].endswith(ends)]
    return read, [*(Skipped(*one) for one in passed), *packed]


def _instead(root: Path) -> str:
    """What code there is instead: the most frequent ending of a language or of notebooks, and which setting reads it."""
    settings = {end: f"corpus.language: {name}" for name, about in reversed(LANGUAGES.items()) for end in about.endings}
    settings[".ipynb"] = "corpus.suffix: .ipynb"
    number = Counter(Path(parts[-1]).suffix for parts in code_files(root, tuple(settings))[0])
    return f", but {number[end]} in {end!r}, which {settings[end]} reads" if (end := max(number, key=number.get, default=None)) else ""


def read_stdlib(**_) -> Iterator[Document | Skipped]:
    """The interpreter's library without its tests."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [parts for parts in code_files(root, (".py",))[0] if not TESTS & {*parts[:-1]}]
    yield from read_files(root, files, decode_python)
