"""Data sets of the hub, and folders that the library `datasets` can load."""

import os
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError, first_line
from ...user_files import is_here
from .documents import Skipped, row

_SAVED = ("dataset_dict.json", "state.json")  # marks of a folder written by `save_to_disk`


def check(*, path: Path, **_) -> None:
    """Raise InputError where a path is meant and nothing is there. What the hub has shows when it is read."""
    text = str(path)
    if not is_here(path) and (path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1):
        raise InputError(f"corpus.path: there is no folder {text}; name a data set of the hub (owner/name), or a folder")


def read(
    *, path: Path, name: str | None, split: str, column: str, revision: str | None, streaming: bool, **_
) -> Iterator[tuple[str, str] | Skipped]:
    """One document per row of a data set: by hub name (revision pinned by the config), or from a folder."""
    check(path=path)
    import datasets  # heavy, and only this source needs it

    where = str(path)
    try:
        if any((path / mark).exists() for mark in _SAVED):
            data = datasets.load_from_disk(where)
            if isinstance(data, datasets.DatasetDict):
                if split not in data:
                    raise InputError(
                        f"corpus.split: {where} has no split {split!r}, only {', '.join(data)}; set corpus.split to one of them"
                    )
                data = data[split]
        else:
            data = datasets.load_dataset(where, name, split=split, revision=revision, streaming=streaming)
    except InputError:
        raise
    except Exception as e:  # the library raises a dozen errors for "cannot be reached" and "does not exist"
        raise _not_loaded(where, e) from e
    if data.column_names is not None and column not in data.column_names:
        raise InputError(
            f"corpus.column: {where} has no column {column!r}, only {', '.join(data.column_names)}; set corpus.column to one of them"
        )
    return _rows(data, where, split, column)


def _rows(data, where: str, split: str, column: str) -> Iterator[tuple[str, str] | Skipped]:
    try:
        for number, values in enumerate(data):
            yield row(f"{split}:{number}", values.get(column))
    except Exception as e:  # a stream meets the same errors as it goes
        raise _not_loaded(where, e) from e


def _not_loaded(path: str, error: Exception) -> InputError:
    remedy = "check its name, config, split and revision, the network, or save it to disk with datasets and give that folder"
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        remedy = f"HF_HUB_OFFLINE is set: take it off, or {remedy}"
    return InputError(f"corpus.path: the data set {path!r} could not be loaded ({first_line(error)}); {remedy}")
