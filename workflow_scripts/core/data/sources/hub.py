"""Data sets of the hub, and folders that the library `datasets` can load."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError, first_line
from ...user_files import is_folder, is_here, kind_of
from .documents import Columns, Document, Skipped, columns
from .shards import check_columns

_SAVED = ("dataset_dict.json", "state.json")  # marks of a folder written by `save_to_disk`


def check(*, path: Path, data_dir: str | None = None, data_files: str | list[str] | None = None, **_) -> None:
    """Raise InputError where a path is meant and nothing is there. What the hub has shows when it is read."""
    text = str(path)
    if is_here(path) and not is_folder(path):
        kind = kind_of(path)
        source = "parquet" if kind == "parquet" else "jsonl"
        raise InputError(f"corpus.path: {text} is a {kind} file; set corpus.source to {source}, or name the folder that holds it")
    if is_folder(path):
        if (data_dir or data_files) and _is_saved(path):
            key = "data_dir" if data_dir else "data_files"
            raise InputError(
                f"corpus.{key}: {text} was written by save_to_disk, which knows splits alone; leave it out, and set corpus.split"
            )
        if data_dir and not is_folder(path / data_dir):
            raise InputError(f"corpus.data_dir: {text} has no folder {data_dir}; name a folder in it")
        for pattern in [data_files] if isinstance(data_files, str) else data_files or ():
            if not glob.glob(pattern, root_dir=path / (data_dir or ""), recursive=True):  # noqa: PTH207  # a Path takes no absolute pattern
                raise InputError(f"corpus.data_files: no file of {path / (data_dir or '')} fits {pattern}; correct the pattern")
    if not is_here(path) and (path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1):
        raise InputError(f"corpus.path: there is no folder {text}; name a data set of the hub (owner/name), or a folder")


def read(
    *,
    path: Path,
    name: str | None,
    split: str,
    revision: str | None,
    streaming: bool,
    data_dir: str | None = None,
    data_files: str | list[str] | None = None,
    **settings,
) -> Iterator[Document | Skipped]:
    """One document per row of a data set, or of the files of it that `data_dir` and `data_files` (patterns) choose: by hub name (revision
    pinned by the config), or from a folder.
    """
    check(path=path, data_dir=data_dir, data_files=data_files)
    import datasets  # heavy, and only this source needs it

    where = str(path)
    try:
        if _is_saved(path):
            data = datasets.load_from_disk(where)
            if isinstance(data, datasets.DatasetDict):
                if split not in data:
                    raise InputError(
                        f"corpus.split: {where} has no split {split!r}, only {', '.join(data)}; set corpus.split to one of them"
                    )
                data = data[split]
        else:
            options = dict(data_dir=data_dir, data_files=data_files, revision=revision, streaming=streaming)
            data = datasets.load_dataset(where, name, split=split, **options)
    except InputError:
        raise
    except Exception as e:  # the library raises a dozen errors for "cannot be reached" and "does not exist"
        raise _not_loaded(where, e) from e
    of = columns(**settings)
    if data.column_names is not None:
        check_columns(where, data.column_names, of)
        data = data.select_columns(sorted({*of.names.values()}))
    return _rows(data, where, split, of)


def _is_saved(path: Path) -> bool:
    return any((path / mark).exists() for mark in _SAVED)


def _rows(data, where: str, split: str, of: Columns) -> Iterator[Document | Skipped]:
    try:
        for number, values in enumerate(data):
            yield of.document(f"{split}:{number}", values)
    except Exception as e:  # a stream meets the same errors as it goes
        raise _not_loaded(where, e) from e


def _not_loaded(path: str, error: Exception) -> InputError:
    remedy = "check its name, config, split and revision, the network, or save it to disk with datasets and give that folder"
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        remedy = f"HF_HUB_OFFLINE is set: take it off, or {remedy}"
    return InputError(f"corpus.path: the data set {path!r} could not be loaded ({first_line(error)}); {remedy}")
