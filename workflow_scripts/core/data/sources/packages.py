"""The sources of installed packages: real code of many authors that is the same on every machine with the project's pinned versions."""

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from ...errors import InputError
from .documents import Document, Skipped, decode_python, read_files
from .folder import TESTS


def check(*, packages: list[str], **_) -> None:
    """Raise InputError where none is named, or one is not installed or holds no Python source."""
    if not packages:
        raise InputError("corpus.packages: none is named; list installed packages, such as networkx")
    for name in packages:
        if not _files(name):
            raise InputError(f"corpus.packages: {name} holds no Python source; name another package")


def versions(packages: list[str]) -> dict[str, str]:
    """The installed version of each package; raises InputError where one is not installed."""
    return {name: _distribution(name).version for name in packages}


def read(*, packages: list[str], **_) -> Iterator[Document | Skipped]:
    """Every module of the packages but tests, as package/path, by package and path."""
    check(packages=packages)
    for name in sorted(packages):
        root = Path(_distribution(name).locate_file(""))
        yield from read_files(root, _files(name), decode_python)


def _files(name: str) -> list[tuple[str, ...]]:
    """Parts of the paths of a package's modules, sorted, without tests and what lies outside of the installed packages."""
    files = (path.parts for path in _distribution(name).files or () if path.suffix == ".py" and ".." not in path.parts)
    return sorted(parts for parts in files if len(parts) > 1 and not {*TESTS, "testing", "_testing"} & {*parts[:-1]})


def _distribution(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        raise InputError(f"corpus.packages: {name} is not installed; correct its name, or pip install it into .venv") from None
