"""The corpus of a run: documents with hashes, and a manifest that says what was read and what was passed over."""

import hashlib
import logging
import platform

import pyarrow as pa

from ..errors import InputError
from ..progress import track
from .sources import Skipped, open_source

log = logging.getLogger(__name__)
STDLIB_LICENCE = "Python Software Foundation License 2.0 (the interpreter's own library)"


def collect(
    *,
    source: str,
    path: str | None = None,
    suffix: str = ".py",
    column: str = "text",
    name: str | None = None,
    split: str = "train",
    revision: str | None = None,
    streaming: bool = False,
    max_documents: int | None = None,
    licence: str | None = None,
) -> tuple[list[dict], dict]:
    """Read the corpus: (rows of kind `documents`, manifest).

    Raises InputError where the source is missing, empty, or lacks the named column.
    """
    documents, skipped = [], []
    settings = dict(source=source, path=path, suffix=suffix, column=column, name=name, split=split, revision=revision, streaming=streaming)
    for found in track(open_source(**settings), desc="collect", unit="doc"):
        if max_documents is not None and len(documents) >= max_documents:
            break
        if isinstance(found, Skipped):
            skipped.append(found)
        elif not found[1].strip():
            skipped.append(Skipped(found[0], "empty"))
        else:
            digest = hashlib.sha256(found[1].encode()).hexdigest()
            documents.append(dict(document_id=len(documents), path=found[0], sha256=digest, text=found[1]))
    if not documents:
        why = "; ".join(sorted({s.reason for s in skipped})) or "no documents"
        raise InputError(
            f"corpus.source {source}: nothing to read in {path or 'the library'} ({why}); name a source that holds code as UTF-8 text"
        )
    for s in skipped:
        log.warning("skipped %s: %s", s.path, s.reason)
    manifest = {
        "settings": {**settings, "max_documents": max_documents},
        "licence": licence or (STDLIB_LICENCE if source == "python_stdlib" else "not stated: set corpus.licence"),
        "versions": {"python": platform.python_version(), "pyarrow": pa.__version__},
        "counts": {"documents": len(documents), "characters": sum(len(d["text"]) for d in documents), "skipped": len(skipped)},
        "skipped": [vars(s) for s in skipped],
        "documents": [{"path": d["path"], "sha256": d["sha256"]} for d in documents],
    }
    return documents, manifest
