"""In a job: nobody else runs it, what it is made of holds still while it runs, and the receipt comes last."""

import contextlib
import datetime
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
from .code import ROOT, closure, loaded
from .content import SCRATCH, md5, remember_made, remove, write_whole

_PACKAGES = ("torch", "transformers", "trl", "tokenizers", "datasets", "numpy", "pandas", "pyarrow", "scipy", "matplotlib")
_PREAMBLE_END = b"preamble end #########\n"
AGAIN = "run snakemake again"


class Record:
    """What a running job is made of, taken when it starts. `close` checks that it still is, and writes the receipt."""

    def __init__(self, snakemake, name: str):
        import __main__ as main  # the script: Snakemake runs a copy of it, and leaves the name of the original in __file__

        self.receipt = Path(str(snakemake.output.receipt))
        remove(self.receipt)  # from here until the end the job is not done
        script = Path(main.__file__).resolve().relative_to(ROOT).as_posix()
        self.born = Path(main.__real_file__).stat().st_mtime  # Snakemake wrote the script's copy when the process started
        self.imported = loaded()
        self.code = {file: md5(ROOT / file) for file in {*closure(script), *self.imported}}
        source = (ROOT / script).read_bytes()  # Snakemake's copy has \n at the ends of its lines
        if Path(main.__real_file__).read_bytes().split(_PREAMBLE_END, 1)[1] != source.replace(b"\r\n", b"\n").replace(b"\r", b"\n"):
            raise InputError(f"{script} was edited while the job started; {AGAIN}")
        self._check_code(self.code)
        self.declared = receipts.declaration(
            rule=snakemake.rule,
            wildcards=snakemake.wildcards,
            script=script,
            inputs=snakemake.input,
            outputs=snakemake.output,
            params=snakemake.params,
        )
        self.inputs = {path: md5(_here(path)) for paths in self.declared["inputs"].values() for path in paths}
        key = json.dumps([self.declared, self.code, self.inputs], sort_keys=True)
        self.checkpoints = SCRATCH / "checkpoints" / name / hashlib.md5(key.encode()).hexdigest()[:16]
        _keep_only(self.checkpoints)
        self.spent_before = _spent_before(self.checkpoints, self.born) if snakemake.resources.get("checkpoint_percent") else 0.0

    def check(self) -> None:
        """Raise InputError if code or inputs are no longer what the job started with."""
        late = loaded() - self.imported  # imported while the job ran, so perhaps after an edit that has been taken back since
        self._check_code(late)
        self.code |= {file: md5(ROOT / file) for file in late}
        if changed := [path for path, before in self.inputs.items() if not _here(path).exists() or md5(_here(path)) != before]:
            raise InputError(f"its input {', '.join(changed)} changed while it ran; {AGAIN}")

    def close(self, outputs: dict[str, Path]) -> None:
        """Write the receipt, after the outputs have their final names."""
        found = {str(path): md5(path) for path in outputs.values()}
        made = {**_cost(self.born, self.spent_before), **_environment(), **_said_by_checkpoints(outputs)}
        receipts.write(self.receipt, {**self.declared, "code": self.code, "input_md5": self.inputs, "output_md5": found, "made": made})
        remember_made(found)
        shutil.rmtree(self.checkpoints.parent, ignore_errors=True)

    def _check_code(self, files) -> None:
        """What was edited after this process started may have been imported before or after the edit."""
        if edited := sorted(f for f in files if (ROOT / f).stat().st_ctime > self.born):
            raise InputError(f"{', '.join(edited)} was edited while the job started; {AGAIN}")


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold the job's lock; raise InputError where another process does, such as one that outlived a killed run."""
    folder = SCRATCH / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("another process is still running it; wait until it ends, or end it, and run snakemake again") from None
        yield


def _here(path: str) -> Path:
    """A receipt's path in this repository and working directory."""
    found = Path(path).expanduser()
    return found if found.exists() or not (ROOT / path).exists() else ROOT / path


def _keep_only(checkpoints: Path) -> None:
    """Delete checkpoints of this job's earlier code, inputs or settings."""
    for folder in checkpoints.parent.glob("*"):
        if folder != checkpoints:
            shutil.rmtree(folder, ignore_errors=True)


def _spent_before(checkpoints: Path, born: float) -> float:
    """Seconds that killed attempts spent up to the checkpoint that this one goes on from; notes when this attempt began."""
    note, spent = checkpoints.parent / "attempt.json", 0.0
    saved = [path.stat().st_mtime for path in checkpoints.glob("*")]
    if saved and note.is_file():
        attempt = json.loads(note.read_text(encoding="utf-8"))
        spent = attempt["spent_before"] + max(0.0, max(saved) - attempt["born"])
    write_whole(note, json.dumps({"born": born, "spent_before": spent}))
    return spent


def _cost(started: float, spent_before: float) -> dict:
    """When the job ended, its wall and CPU time in seconds with the imports, its largest resident memory in MB.

    Wall time is that of all attempts that the result came from; the CPU time of a killed one is not known, so then there is none.
    """
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return dict(
        at=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        wall_s=round(spent_before + time.time() - started, 3),
        cpu_s=None if spent_before else round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        peak_memory_mb=round(max(own.ru_maxrss, children.ru_maxrss) / 1024, 1),
    )


def _environment() -> dict:
    """Versions of what this process imported, of the libraries that the numbers depend on; the device where torch is among them."""
    imported = {package: version(package) for package in _PACKAGES if package in sys.modules}
    found = dict(versions={"python": platform.python_version(), **imported})
    if torch := sys.modules.get("torch"):
        found["device"] = torch.cuda.get_device_name() if torch.cuda.is_initialized() else "cpu"
    return found


def _said_by_checkpoints(outputs: dict[str, Path]) -> dict:
    """Steps, tokens and GPU memory of a checkpoint among the outputs, from its meta.json."""
    for path in outputs.values():
        if (meta := path / "meta.json").is_file():
            about = json.loads(meta.read_text(encoding="utf-8"))
            return {k: about.get(k) for k in ("steps", "tokens", "gpu_peak_mb")}
    return {}
