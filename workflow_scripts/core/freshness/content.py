"""Content hashes that agree with DVC's, and atomic writes.

Hashes are remembered in a small database by path, size, times and inode, so that a file is read again only after it changed.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

SCRATCH = Path(".canaryflow")  # in the working directory, ignored by git: locks, hashes, checkpoints of running jobs
TIMESTAMP = ".snakemake_timestamp"  # Snakemake's own file in output folders
SETTLED = 946_684_800  # the one time that finished artifacts get, 2000-01-01 UTC: Snakemake compares times, and these never differ
RACY_S = 2  # a file written less than this long ago may change again without a sign in its times


def md5(path) -> str:
    """MD5 of a file, or of a folder (`.dir` at its end): the value that dvc.lock has for it. FileNotFoundError where there is none."""
    path = Path(path)
    if not path.is_dir():
        return _file_md5(path)
    files = sorted((f.relative_to(path).as_posix(), f) for f in path.rglob("*") if f.is_file() and f.name != TIMESTAMP)
    listing = json.dumps([{"md5": _file_md5(f), "relpath": name} for name, f in files])
    return hashlib.md5(listing.encode()).hexdigest() + ".dir"


def md5_of_files(folder: Path, files: list[tuple[str, ...]]) -> str:
    """The same of a folder of which only these files count, given as parts of their paths; one that cannot be read counts by its name."""
    listing = []
    for parts in files:
        value = None
        with contextlib.suppress(OSError):
            value = _file_md5(folder.joinpath(*parts))
        listing.append({"md5": value, "relpath": "/".join(parts)})
    return hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"


def _file_md5(path: Path) -> str:
    def read() -> str:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "md5").hexdigest()

    return remembered(path, "", read)


def remembered(path: Path, what: str, compute: Callable[[], str]) -> str:
    """A value that depends only on a file's content (`what` names it), computed once for each content."""
    stat, key = path.stat(), f"{path}|{what}" if what else str(path)
    key = key.encode("utf-8", "backslashreplace").decode()  # a name may be in any encoding
    if known := _database().first("select md5 from hashes where path = ? and signature = ?", key, _signature(stat)):
        return known[0]
    value = compute()
    if time.time() - max(stat.st_mtime, stat.st_ctime) > RACY_S:
        _remember(key, stat, value)
    return value


def _remember(key: str, stat: os.stat_result, value: str) -> None:
    _database().first("insert or replace into hashes values (?, ?, ?)", key, _signature(stat), value)


def settle(path) -> None:
    """Give an artifact the one time of all finished artifacts, keeping what is known of its content."""
    for part in (Path(path), Path(path) / TIMESTAMP):
        if not os.path.lexists(part) or {part.stat().st_mtime, part.lstat().st_mtime} == {SETTLED}:
            continue
        known = None if part.is_dir() else _file_md5(part)
        os.utime(part, (SETTLED, SETTLED))
        if part.is_symlink():
            os.utime(part, (SETTLED, SETTLED), follow_symlinks=False)
        if known:
            _remember(str(part), part.stat(), known)


def touch(path) -> None:
    """Give an artifact the present time, keeping what is known of its content: Snakemake expects a finished job's outputs to be new."""
    known = None if Path(path).is_dir() else _file_md5(Path(path))
    os.utime(path)
    if known:
        _remember(str(path), Path(path).stat(), known)


def remember_made(outputs: dict[str, str]) -> None:
    """Note {path: MD5} of artifacts that a job made here, in this working directory."""
    for path, value in outputs.items():
        _database().first("insert or replace into made values (?, ?)", path, value)


def was_made_here(path: str, value: str) -> bool:
    """Whether a job made this artifact here; if not, it was pulled or copied."""
    return _database().first("select 1 from made where path = ? and md5 = ?", path, value) is not None


def _signature(stat: os.stat_result) -> str:
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"


class _Database:
    """The database of hashes. One that cannot be read or written is done without."""

    def __init__(self, folder: Path):
        self.connection, self.lock = None, threading.Lock()
        with contextlib.suppress(OSError, sqlite3.Error):
            folder.mkdir(exist_ok=True)
            self.connection = sqlite3.connect(folder / "hashes.db", timeout=30, isolation_level=None, check_same_thread=False)
            self.connection.execute("create table if not exists hashes (path text primary key, signature text, md5 text)")
            self.connection.execute("create table if not exists made (path text primary key, md5 text)")

    def first(self, statement: str, *values: str):
        """First row of a statement's result; None where there is none, or no database."""
        with self.lock, contextlib.suppress(sqlite3.Error, AttributeError):
            return self.connection.execute(statement, values).fetchone()


def _database() -> _Database:
    return _opened(Path.cwd())


@functools.cache
def _opened(folder: Path) -> _Database:
    return _Database(folder / SCRATCH)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that nobody ever sees a part of it, not even after a power failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace(new: Path, final: Path) -> None:
    """Put `new` in the place of `final`, which may be there; an old folder steps aside first, so that a failure loses nothing."""
    if not os.path.lexists(final) or not (final.is_dir() or new.is_dir()):
        new.replace(final)
        return
    aside = _aside(final)
    remove(aside)
    final.replace(aside)
    try:
        new.replace(final)
    except OSError:
        aside.replace(final)
        raise
    remove(aside)


def put_back(final: Path) -> None:
    """Undo the first half of a `replace` that was killed in its middle."""
    if (aside := _aside(final)).exists() and not os.path.lexists(final):
        aside.replace(final)


def _aside(path: Path) -> Path:
    return path.with_name(f".tmp-old-{path.name}")


def remove(path: Path) -> None:
    """Delete a file, link or folder; nothing where there is none."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
