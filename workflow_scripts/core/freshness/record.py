"""In a job: one runner at a time, nothing done twice, inputs and code that hold still while it runs, and the receipt written last."""

import contextlib
import datetime
import errno
import fcntl
import hashlib
import json
import platform
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from ..errors import InputError
from . import receipts
from . import snakemake_adapter as adapter
from .code import ROOT, closure, digest, loaded
from .content import SCRATCH, md5, remember_made, touch, write_whole

# whose versions a receipt has where the job imported them
PACKAGES = ("torch", "transformers", "accelerate", "peft", "gguf", "tokenizers", "tree_sitter_language_pack", "datasets", "numpy", "pandas")
PACKAGES += ("trl", "pyarrow", "scipy", "matplotlib")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what NFS without its lock service, Lustre and others answer
AGAIN = "run snakemake again"
_held: list = []
SAME = "its inputs came out the same, so its outputs stand"


class Record:
    """What a running job is made of, taken when it starts. `close` checks that it still is, and writes the receipt."""

    def __init__(self, snakemake, name: str):
        script, self.born = adapter.running_script()
        self.since = self.born  # its cost counts from then
        file = script.relative_to(ROOT).as_posix()
        self.name, self.run = name, str(snakemake.wildcards.get("run", ""))
        self.receipt = Path(str(snakemake.output.receipt))
        self.imported = loaded()
        self.code = {module: digest(module) for module in {*closure(file), *self.imported}}
        source = script.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if adapter.running_source() != source:
            raise InputError(_edited([file]))
        self._check_code(self.code)
        self.declared = receipts.declaration(
            rule=adapter.rule_of(snakemake),
            wildcards=snakemake.wildcards,
            script=file,
            inputs=snakemake.input,
            outputs=snakemake.output,
            params=snakemake.params,
        )
        self.inputs = {path: self._md5(path) for path in receipts.files(self.declared["inputs"])}
        key = json.dumps([self.declared, self.code, self.inputs], sort_keys=True)
        self.checkpoints = SCRATCH / "checkpoints" / name / hashlib.md5(key.encode()).hexdigest()[:16]
        _keep_only(self.checkpoints)
        self.spent_before = _spent_before(self.checkpoints, self.born) if snakemake.resources.get("checkpoint_percent") else 0.0

    def leave_out(self, waited: float) -> None:
        """Seconds in which the job waited for its cards are none of its cost, nor of that of an attempt that resumes from this one."""
        self.since += waited
        if waited and _attempt(self.checkpoints).is_file():
            _begin(self.checkpoints, self.since, self.spent_before)

    def is_unchanged(self) -> bool:
        """Whether the outputs are what running the job would give again. On a cluster only the job itself can find out (Plan.stands)."""
        old = receipts.read(self.receipt)
        if not old or self.name in _must_run(self.run) or receipts.changes(old, self.declared):
            return False
        if old["code"] != self.code or receipts.files(old["inputs"]) != self.inputs:
            return False
        outputs = receipts.files(old["outputs"])
        if not all(Path(path).exists() and md5(path) == value for path, value in outputs.items()):
            return False
        for path in (*outputs, self.receipt):
            touch(path)
        return True

    def check(self) -> None:
        """Raise InputError if code or inputs are no longer what the job started with."""
        late = loaded() - self.imported  # imported while the job ran, so perhaps after an edit that has been taken back since
        self._check_code(late)
        self.code |= {module: digest(module) for module in late}
        if changed := [path for path, before in self.inputs.items() if not _here(path).exists() or self._md5(path) != before]:
            raise InputError(f"its input {', '.join(changed)} changed while it ran; {AGAIN}")

    def close(self, outputs: dict[str, Path]) -> None:
        """Write the receipt, after the outputs have their final names."""
        hashes = {str(path): md5(path) for path in outputs.values()}
        made = {**_cost(self.since, self.spent_before), **_environment(), **_meta_of_checkpoint(outputs)}
        sides = {"inputs": self.inputs, "outputs": hashes}
        files = {side: {key: {p: sides[side][p] for p in paths} for key, paths in self.declared[side].items()} for side in sides}
        receipts.write(self.receipt, {**self.declared, **files, "code": dict(sorted(self.code.items())), "made": made})
        remember_made(hashes)
        shutil.rmtree(self.checkpoints.parent, ignore_errors=True)

    def _md5(self, path: str) -> str:
        return receipts.md5_of(path, _here(path), self.declared["own"])

    def _check_code(self, files) -> None:
        """What was edited after this process started may have been imported before or after the edit."""
        if edited := sorted(f for f in files if (ROOT / f).stat().st_ctime > self.born):
            raise InputError(_edited(edited))


def _edited(files: list[str]) -> str:
    """What to say of code that changed after the job's process started, by the times of the files."""
    names, ahead = ", ".join(files), max((ROOT / file).stat().st_ctime for file in files) - time.time()
    if ahead > 1:
        return (
            f"{names} was changed {ahead:.0f} s in the future, so the clock was set back; set it right, or `touch` the file, and run again"
        )
    return f"{names} was edited while the job started; {AGAIN}"


def note_what_must_run(receipts_folder: Path, names: list[str]) -> None:
    """Tell the jobs of a run which of them have a reason of their own to run: these are never cut off early."""
    write_whole(_note(receipts_folder.parent.name), json.dumps(sorted(names)))


def _must_run(run: str) -> set[str]:
    """The names noted for a run; where there is no note, an answer that contains every name."""
    try:
        return set(json.loads(_note(run).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return _Everything()


class _Everything(set):
    def __contains__(self, _) -> bool:
        return True


def _note(run: str) -> Path:
    return SCRATCH / "must_run" / f"{run}.json"


@contextlib.contextmanager
def alone(name: str) -> Iterator[bool]:
    """Hold the job's lock; raise InputError where another process does, such as one that outlived a killed run.

    Gives whether it is held: a file system may have no locks, and then nothing is.
    """
    folder = SCRATCH / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("another process is still running it; wait until it ends, or end it, and run snakemake again") from None
        except OSError as e:
            if e.errno not in _NO_LOCKS:
                raise
            yield False
        else:
            yield True


def hold_run(run: str, *, alone: bool) -> None:
    """Note until this process ends that it runs jobs of `run`; raises InputError where it or another such process must be `alone`."""
    folder = SCRATCH / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / run, "w")  # noqa: SIM115
    try:
        fcntl.flock(lock, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"another snakemake makes run {run} here, and one of the two has no lock (--nolock); wait until it ends") from None
    except OSError as e:
        if e.errno not in _NO_LOCKS:
            raise
    _held.append(lock)  # closing it would let go


def _here(path: str) -> Path:
    """A receipt's path in this repository and working directory."""
    place = Path(path).expanduser()
    return place if place.exists() or not (ROOT / path).exists() else ROOT / path


def _keep_only(checkpoints: Path) -> None:
    """Delete checkpoints of this job's earlier code, inputs or settings."""
    for folder in checkpoints.parent.glob("*"):
        if folder != checkpoints:
            shutil.rmtree(folder, ignore_errors=True)


def _attempt(checkpoints: Path) -> Path:
    """The note of when the last attempt began, and of what those before it spent."""
    return checkpoints.parent / "attempt.json"


def _spent_before(checkpoints: Path, born: float) -> float:
    """Seconds that killed attempts spent up to the checkpoint from which this one resumes; notes when this attempt began."""
    note, spent = _attempt(checkpoints), 0.0
    saved = [path.stat().st_mtime for path in checkpoints.glob("*")]
    if saved and note.is_file():
        attempt = json.loads(note.read_text(encoding="utf-8"))
        spent = attempt["spent_before"] + max(0.0, max(saved) - attempt["born"])
    _begin(checkpoints, born, spent)
    return spent


def _begin(checkpoints: Path, born: float, spent_before: float) -> None:
    """Write that note."""
    write_whole(_attempt(checkpoints), json.dumps({"born": born, "spent_before": spent_before}))


def _cost(started: float, spent_before: float) -> dict:
    """When the job ended, its wall and CPU time in seconds with the imports, its largest resident memory in MB.

    Wall time includes the killed attempts that the result builds on; their CPU time is not known, so then there is none.
    """
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return dict(
        at=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        wall_s=round(spent_before + time.time() - started, 3),
        cpu_s=None if spent_before else round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        peak_memory_mb=round(max(own.ru_maxrss, children.ru_maxrss) / 1024, 1),
    )


def _environment() -> dict:
    """Versions of the libraries in this process that the numbers depend on; the device where torch is among them."""
    imported = {package: version(package) for package in PACKAGES if package in sys.modules}
    environment = dict(versions={"python": platform.python_version(), **imported})
    if torch := sys.modules.get("torch"):
        environment["device"] = torch.cuda.get_device_name() if torch.cuda.is_initialized() else "cpu"
    return environment


def _meta_of_checkpoint(outputs: dict[str, Path]) -> dict:
    """Steps, tokens and GPU memory of a checkpoint among the outputs, from its meta.json."""
    for path in outputs.values():
        if (meta := path / "meta.json").is_file():
            about = json.loads(meta.read_text(encoding="utf-8"))
            return {k: about.get(k) for k in ("steps", "tokens", "gpu_peak_mb")}
    return {}
