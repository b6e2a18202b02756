"""A source that is one file, or a folder of them: shards, read in the order of their names."""

from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ...user_files import check_readable, code_files, is_folder, kind_of, shown
from .documents import Columns, Skipped

_REMEDY = {
    "parquet": "set corpus.source to parquet",
    "zip": "unpack it, and name the folder",
    "json array": "set corpus.source to jsonl, which reads it",
    "gzip": "unpack it, or set corpus.source to jsonl where it holds JSON Lines",
    "zstd": "unpack it, or set corpus.source to jsonl where it holds JSON Lines",
    "arrow": "set corpus.source to huggingface and corpus.path to the folder that holds it",
}


def shards(path: Path, suffixes: tuple[str, ...]) -> tuple[list[Path], list[Skipped]]:
    """The file itself, or the files of a folder that end in one of `suffixes` and what is passed over. Raises InputError where there is none."""
    if not is_folder(path):
        return [path], []
    files, passed = code_files(path, suffixes, largest=None)
    if not files:
        why = f" that can be read ({passed[0][0]}: {passed[0][1]})" if passed else ""
        raise InputError(
            f"corpus.path: no file below {path} ends in {', '.join(suffixes)}{why}; name a folder that holds such files, or a file"
        )
    return [path.joinpath(*parts) for parts in files], [Skipped(*one) for one in passed]


def check_shards(path: Path, suffixes: tuple[str, ...], kinds: tuple[str, ...], what: str) -> None:
    """Raise InputError where a file cannot be read, or is of none of these kinds (user_files.kind_of), of which `what` is the name."""
    for file in shards(path, suffixes)[0]:
        check_readable(file, "corpus.path")
        if file.stat().st_size and (kind := kind_of(file)) not in kinds:
            remedy = _REMEDY.get(kind, "set corpus.path to such a file, or corpus.source to what it is")
            raise InputError(f"corpus.path: {file} is {'an' if kind[0] in 'ao' else 'a'} {kind} file, not {what}; {remedy}")


def check_columns(where, names: list[str], of: Columns) -> None:
    """Raise InputError where a column that the config names is not among `names`, those of a file or data set."""
    for setting, column in of.names.items():
        if column not in names:
            one = f"the one that holds {of.holds}" if setting == "column" and of.answers else "one of them"
            raise InputError(f"corpus.{setting}: {where} has no column {column!r}, only {', '.join(names)}; set corpus.{setting} to {one}")


def names(path: Path, file: Path) -> str:
    """How a shard is called in the manifest: its name, or its path within the folder."""
    return shown(file.relative_to(path).as_posix() if is_folder(path) else file.name)


def each(path: Path, suffixes: tuple[str, ...], read) -> Iterator:
    """The documents of every shard, after what is passed over; `read(file, name)` gives those of one."""
    files, passed = shards(path, suffixes)
    yield from passed
    for file in files:
        yield from read(file, names(path, file))
