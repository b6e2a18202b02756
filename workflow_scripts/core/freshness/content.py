"""Content hashes that agree with DVC's, and atomic writes.

Hashes are remembered in a small database by path, size, times and inode, so that a file is read again only after it changed. What is
computed of our code is remembered by its content, too, so that a clone or a copy of the project need not parse it again.
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
NO_TIME = 1_000_000_000 * 10**9  # ns; a file that is dated before 2001-09-09 lost its time on the way here
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
    if not path.is_file() and path.exists():
        return "not a file"  # but a pipe or a socket: reading it might never end

    def read() -> str:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "md5").hexdigest()

    return remembered(path, "", read)


def remembered(path: Path, what: str, compute: Callable[[], str]) -> str:
    """A value that depends only on a file's content (`what` names it), computed once for each content."""
    stat, key = path.stat(), f"{path}|{what}" if what else str(path)
    if known := _database().first("select md5 from hashes where path = ? and signature = ?", key, _signature(stat)):
        return known[0]
    value = compute()
    if time.time() - max(stat.st_mtime, stat.st_ctime) > RACY_S:
        _remember(key, stat, value)
    return value


def remembered_of(data: bytes, what: str, compute: Callable[[bytes], str]) -> str:
    """The same of content at hand, wherever it lies."""
    key = f"{what}|{hashlib.md5(data).hexdigest()}"
    if known := _database().first("select md5 from hashes where path = ? and signature = ''", key):
        return known[0]
    value = compute(data)
    _database().first("insert or replace into hashes values (?, '', ?)", key, value)
    return value


def _remember(key: str, stat: os.stat_result, value: str) -> None:
    _database().first("insert or replace into hashes values (?, ?, ?)", key, _signature(stat), value)


def settle(path, *, since: int, until: int) -> int:
    """Move an artifact's time between `since` and `until` (ns) where it lies outside, keeping what is known of its content.

    Returns the latest time that Snakemake then sees of it: of a link, its own and its aim's; `since` where there is no artifact.
    """
    path, latest = Path(path), since
    aim = path / TIMESTAMP if (path / TIMESTAMP).is_file() else path
    parts = [(path, False), (aim, True)] if path.is_symlink() else [(aim, True)]
    for part, follow in parts if path.exists() else ():
        before = part.stat(follow_symlinks=follow).st_mtime_ns
        after = until if before < NO_TIME else min(max(before, since), until)
        if after != before:
            known = _file_md5(part) if follow and part.is_file() else None
            os.utime(part, ns=(after, after), follow_symlinks=follow)
            if known:
                _remember(str(part), part.stat(), known)
        latest = max(latest, after)
    return latest


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
    """The database of hashes. A damaged one is deleted; where it can then not be read or written, it is done without."""

    def __init__(self, folder: Path):
        self.place, self.connection, self.lock = folder / "hashes.db", None, threading.Lock()
        for _ in range(2):
            if self.connection is None:
                self._open()

    def _open(self) -> None:
        with self._without_damage():
            self.place.parent.mkdir(exist_ok=True)
            self.connection = sqlite3.connect(self.place, timeout=30, isolation_level=None, check_same_thread=False)
            self.connection.execute("pragma synchronous = off")  # what a power failure takes is only computed again
            self.connection.execute("create table if not exists hashes (path text primary key, signature text, md5 text)")
            self.connection.execute("create table if not exists made (path text primary key, md5 text)")

    @contextlib.contextmanager
    def _without_damage(self):
        try:
            yield
        except (OSError, sqlite3.OperationalError):  # not ours to write, or locked
            pass
        except sqlite3.DatabaseError:
            self.connection = None
            with contextlib.suppress(OSError):
                self.place.unlink()

    def first(self, statement: str, *values: str):
        """First row of a statement's result; None where there is none, or no database."""
        values = tuple(value.encode("utf-8", "backslashreplace").decode() for value in values)  # a name may be in any encoding
        with self.lock, self._without_damage():
            return self.connection.execute(statement, values).fetchone() if self.connection else None


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


def is_unreadable(error: OSError) -> bool:
    """Whether an error says that a file may not be read, or its folder not be entered; else it could not be written."""
    path = Path(str(error.filename))
    there = next(place for place in (path, *path.parents) if os.path.lexists(place))
    return not os.access(there, os.R_OK if there == path else os.X_OK)


def remove(path: Path) -> None:
    """Delete a file, link or folder; nothing where there is none."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
