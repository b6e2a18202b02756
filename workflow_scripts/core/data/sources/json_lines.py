"""JSON Lines (plain or compressed), and arrays of JSON objects: one document each."""

import bz2
import codecs
import contextlib
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ...user_files import LARGEST, kind_of
from .documents import Columns, Document, Skipped, columns
from .shards import check_shards, each, shards

SUFFIXES = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".jsonl.bz2", ".jsonl.xz")
_PIECE = 2**20  # bytes that are read at a time
_BETWEEN = re.compile(r"[,\s]*")  # what may stand between two elements of an array
_OPENERS = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}


def check(*, path: Path, **settings) -> None:
    """Raise InputError where a file cannot be read, is something else, or the first object lacks a key."""
    check_shards(path, SUFFIXES, ("text", "json array", "gzip", "zstd", "bz2", "xz"), "JSON Lines")
    for file in shards(path, SUFFIXES)[0]:
        with _whole(file), _open(file) as stream:
            if b"\0" in stream.read(4096):
                raise InputError(f"corpus.path: {file} is {kind_of(file)} of something that is not text; unpack it, and name what is in it")
        next(_documents(file, "", columns(**settings)), None)


def read(*, path: Path, **settings) -> Iterator[Document | Skipped]:
    """The string under `column` of every object."""
    check(path=path, **settings)
    return each(path, SUFFIXES, lambda file, name: _documents(file, name, columns(**settings)))


def _documents(file: Path, name: str, of: Columns) -> Iterator[Document | Skipped]:
    with _whole(file):
        for place, value in _elements(file) if _is_array(file) else _lines(file):
            if isinstance(value, Skipped):
                yield Skipped(f"{name}:{place}", value.reason)
            elif missing := [item for item in of.names.items() if not isinstance(value, dict) or item[1] not in value]:
                keys = ", ".join(sorted(value)) if isinstance(value, dict) else "no keys"
                what, (setting, column) = "element" if _is_array(file) else "line", missing[0]
                raise InputError(
                    f"corpus.{setting}: {what} {place} of {file} has no {column!r} (it has {keys}); "
                    f"set corpus.{setting} to the key that holds {of.holds if setting == 'column' else 'it'}"
                )
            else:
                yield of.document(f"{name}:{place}", value)


@contextlib.contextmanager
def _whole(file: Path) -> Iterator[None]:
    """Raise InputError where a file turns out to be damaged."""
    try:
        yield
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as e:
        raise InputError(f"corpus.path: {file} is damaged ({e}); fetch or write it again") from e


def _open(file: Path):
    kind = kind_of(file)
    if kind == "zstd":
        import pyarrow as pa

        return pa.CompressedInputStream(pa.OSFile(str(file)), "zstd")
    return _OPENERS.get(kind, open)(file, "rb")


def _is_array(file: Path) -> bool:
    with _open(file) as stream:
        return stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _lines(file: Path) -> Iterator[tuple[int, object]]:
    number, line = 0, bytearray()  # the line so far, of which no more than LARGEST bytes and a piece are kept
    with _open(file) as stream:
        while piece := stream.read(_PIECE):
            if len(line) > LARGEST and b"\n" not in piece:
                continue
            first, *others = piece.split(b"\n")
            line += first
            for other in others:
                number += 1
                yield number, _parsed(line)
                line = bytearray(other)
    if line:
        yield number + 1, _parsed(line)


def _parsed(line: bytearray):
    if len(line) > LARGEST:
        return Skipped("", f"larger than {LARGEST >> 20} MiB")
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return Skipped("", "not a line of JSON in UTF-8")


def _elements(file: Path) -> Iterator[tuple[int, object]]:
    """The elements of an array, of which a piece is in memory at a time. Raises InputError where it breaks off, or more follows it."""
    decode, parse = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode, json.JSONDecoder().raw_decode
    number, at = 0, 1
    with _open(file) as stream:
        text = decode(stream.read(_PIECE)).lstrip("\ufeff \t\r\n")
        while True:
            at = _BETWEEN.match(text, at).end()
            if text.startswith("]", at):
                break
            try:
                value, at = parse(text, at)
            except (ValueError, RecursionError):
                if len(text) - at > LARGEST:
                    what = f"corpus.path: element {number + 1} of the JSON array in {file} is broken, or larger than {LARGEST >> 20} MiB"
                    raise InputError(f"{what}; write it again, one object per line") from None
                if not (piece := stream.read(_PIECE)):
                    raise InputError(f"corpus.path: the JSON array in {file} breaks off after element {number}; write it again") from None
                text, at = text[at:] + decode(piece), 0
                continue
            number += 1
            yield number, value
        if (text[at + 1 :] + decode(stream.read(_PIECE))).strip():
            raise InputError(f"corpus.path: {file} goes on after its JSON array; write one array, or one object per line")
