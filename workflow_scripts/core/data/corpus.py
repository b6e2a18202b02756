"""The corpus of a run: documents with hashes, and a manifest of what was read and what was skipped."""

import hashlib
import logging
import platform
from collections.abc import Iterator

import pyarrow as pa

from ..errors import InputError
from ..progress import track
from ..user_files import NOT_OWN
from .languages import TEXT
from .sources import SOURCES, open_source
from .sources.documents import Skipped

_BY_DOCUMENT = "of each document, as counted under counts.licences"

log = logging.getLogger(__name__)
LISTED = 10_000  # documents that a manifest names; documents.parquet has all of them, with their hashes


def collect(
    *,
    source: str,
    path: str | None = None,
    packages: list[str] = (),
    language: str = "python",
    suffix: str | None = None,
    column: str = "text",
    path_column: str | None = None,
    repository_column: str | None = None,
    licence_column: str | None = None,
    licences: list[str] | None = None,
    prompt_column: str | None = None,
    response_column: str | None = None,
    chosen_column: str | None = None,
    rejected_column: str | None = None,
    name: str | None = None,
    split: str = "train",
    data_dir: str | None = None,
    data_files: str | list[str] | None = None,
    revision: str | None = None,
    streaming: bool = False,
    max_documents: int | None = None,
    licence: str | None = None,
) -> tuple[Iterator[dict], dict]:
    """Read the corpus: (rows of `documents`, manifest).

    Documents are read lazily; the manifest is complete after the last one, and names the first LISTED documents and the first LISTED
    skipped ones; folders that are left out are no documents. Reading raises InputError where the source is missing, empty, or lacks
    the named column.
    """
    settings = dict(source=source, path=path, packages=[*packages], language=language, suffix=suffix)
    settings |= dict(column=column, path_column=path_column, repository_column=repository_column)
    settings |= dict(licence_column=licence_column, licences=licences)
    answers = dict(
        prompt_column=prompt_column, response_column=response_column, chosen_column=chosen_column, rejected_column=rejected_column
    )
    settings |= {key: column for key, column in answers.items() if column}
    settings |= dict(name=name, split=split, data_dir=data_dir, data_files=data_files, revision=revision, streaming=streaming)
    manifest = {
        "settings": {**settings, "max_documents": max_documents},
        "licence": licence or SOURCES[source].licence or (_BY_DOCUMENT if licence_column else "not stated: set corpus.licence"),
        "versions": {"python": platform.python_version(), "pyarrow": pa.__version__},
        "counts": {"documents": 0, "characters": 0, "skipped": 0, "skipped_because": {}, "left_out": []},
        "skipped": [],
        "documents": [],
    }
    return _documents(settings, max_documents, manifest), manifest


def with_snippets(
    manifest: dict, *, distinct: int, removed: dict[str, int], skipped: list[dict], parsed: dict, pools: dict[str, int]
) -> dict:
    """The manifest with what became of the corpus: functions (or rows of text), duplicates removed, documents that do not parse, pools."""
    counts = {"functions": distinct + sum(removed.values()), **removed, "distinct": distinct, **parsed, "pools": pools}
    return {**manifest, "counts": manifest["counts"] | counts, "skipped": [*manifest["skipped"], *skipped][:LISTED]}


def _documents(settings: dict, max_documents: int | None, manifest: dict) -> Iterator[dict]:
    counts = manifest["counts"]
    for item in track(open_source(**settings), desc="collect", unit="doc"):
        if max_documents is not None and counts["documents"] >= max_documents:
            break
        if not isinstance(item, Skipped) and not item.text.strip():
            item = Skipped(item.path, "empty")
        if isinstance(item, Skipped):
            log.warning("skipped %r: %s", item.path, item.reason)
            _list(manifest["skipped"], vars(item))
            if item.reason == NOT_OWN:
                _list(counts["left_out"], item.path)
            else:
                counts["skipped"] += 1
                counts["skipped_because"][item.reason] = counts["skipped_because"].get(item.reason, 0) + 1
        else:
            sha256 = hashlib.sha256(item.text.encode()).hexdigest()
            document = dict(document_id=counts["documents"], path=item.path, sha256=sha256, text=item.text)
            document |= {key: value for key in ("response_at", "rejected") if (value := getattr(item, key)) is not None}
            counts["documents"] += 1
            counts["characters"] += len(item.text)
            if item.licence is not None:
                licences = counts.setdefault("licences", {})
                licences[item.licence] = licences.get(item.licence, 0) + 1
            _list(manifest["documents"], {key: document[key] for key in ("path", "sha256")})
            yield document
    if not counts["documents"]:
        why = "; ".join(sorted(counts["skipped_because"])) or "no documents"
        raise InputError(
            f"corpus.source {settings['source']}: nothing to read{' in ' + settings['path'] if settings['path'] else ''} ({why}); "
            f"name a source that holds {'prompts and responses' if settings['language'] == TEXT else 'code'} as UTF-8 text"
        )


def _list(names: list, name: dict | str) -> None:
    if len(names) < LISTED:
        names.append(name)
