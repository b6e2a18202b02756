"""A copy of the project as a git repository of its own, in which tests edit, run, kill and restore what a user would."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TINY = "tests/config/tiny.yaml"
NOTHING = "Nothing to be done"
_LEFT_BEHIND = (
    "/.git /.venv /.snakemake /.canaryflow /.hypothesis /.pytest_cache /.ruff_cache /results /logs /dvc.lock /.dvc/cache /.dvc/tmp"
    " /.dvc/config.local"  # a developer's own remote is not for tests
)
_LISTED = re.compile(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)*)", re.MULTILINE)


def job_name(rule: str, wildcards: dict[str, str]) -> str:
    """A job as tests/workflow/stages.py names it."""
    return "-".join([rule, *(wildcards[key] for key in ("arm", "seed", "policy", "reward", "judged") if key in wildcards)])


@dataclass(frozen=True)
class Run:
    """How a snakemake command ended, what it said and how long it took."""

    status: int
    said: str
    seconds: float

    @property
    def jobs(self) -> set[str]:
        """The jobs that it listed: planned by a dry run, started by a real one."""
        found = set()
        for rule, block in _LISTED.findall(self.said):
            wildcards = re.search(r"^ +wildcards: (.*)$", block, re.MULTILINE)
            found.add(job_name(rule, dict(pair.split("=") for pair in wildcards[1].split(", ")) if wildcards else {}))
        return found - {"all", "export"}  # rules that only name what is to be made

    @property
    def stood(self) -> set[str]:
        """The jobs among them that were not run, as their inputs came out the same. Snakemake writes a line and its end apart, and this may be said between."""
        names = re.findall(r"canaryflow: (\S+): its inputs came out the same", self.said)
        return {re.sub("-(tiny|twin)", "", name, count=1) for name in names}

    @property
    def sentences(self) -> list[str]:
        """What Canaryflow itself said, apart from what is stale and why, and what stands."""
        quiet = (" is stale: ", ": its inputs came out the same")
        return [line for line in self.said.splitlines() if line.startswith("canaryflow: ") and not any(q in line for q in quiet)]


class Started:
    """A snakemake command at work, in a session of its own."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]):
        self.said = tempfile.TemporaryFile("w+b")  # noqa: SIM115  # not in the repository, whose disk may be full
        self.since = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self.said, stderr=self.said, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def wait(self, seconds: float = 900) -> Run:
        """Its end."""
        status, took = self.process.wait(timeout=seconds), time.monotonic() - self.since
        said = os.pread(self.said.fileno(), 1 << 30, 0)  # orphans may still write, where this reads
        return Run(status, said.decode(errors="replace"), took)

    def members(self) -> dict[int, str]:
        """{process id: command line} of what is alive in its session."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                state, _, _, session = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        return found

    def scripts(self) -> list[int]:
        """Process ids of the jobs' scripts that are alive in its session, also when snakemake itself is gone."""
        return [pid for pid, command in self.members().items() if "/.snakemake/scripts/" in command and pid != self.process.pid]

    def kill_snakemake(self) -> None:
        """SIGKILL for snakemake alone; a running job lives on as an orphan."""
        self.process.kill()
        self.process.wait()

    def kill_jobs(self) -> None:
        """SIGKILL for running jobs; snakemake lives on."""
        _kill(self.scripts())

    def kill_all(self) -> None:
        """SIGKILL for everything in its session."""
        self.kill_snakemake()
        while alive := self.members():
            _kill(alive)
            time.sleep(0.01)

    def wait_for_orphans(self, seconds: float = 300) -> None:
        """Until the jobs that a killed snakemake left behind have ended."""
        wait_until(lambda: not self.scripts(), seconds)


def _kill(pids) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until(true, seconds: float = 120) -> None:
    """Wait for `true()`; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.02)


@dataclass
class Repository:
    """The project in `folder`. Commands run there, with tests/config/tiny.yaml and an overlay, as a user would type them."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "Repository":
        """The project as it is now, committed."""
        left = {f"{ROOT}{path}" for path in _LEFT_BEHIND.split()}
        shutil.copytree(ROOT, folder, ignore=lambda at, names: [n for n in names if n == "__pycache__" or f"{at}/{n}" in left])
        repository = cls(folder)
        repository.git("init", "--quiet")
        repository.commit("as it is")
        return repository

    def fork(self, folder: Path) -> "Repository":
        """A copy with everything in it: results, receipts, history."""
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        return Repository(folder)

    def git(self, *arguments: str) -> str:
        """Output of a git command."""
        command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "protocol.file.allow=always", *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)

    def start(self, *arguments: str, overlay: dict | None = None, prefix: tuple[str, ...] = (), **environment: str) -> Started:
        """Start `snakemake *arguments`; `prefix` is a command that starts it."""
        files = [TINY]
        if overlay is not None:
            (self.folder / ".git" / "overlay.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
            files.append(".git/overlay.yaml")
        command = [*prefix, sys.executable, "-m", "snakemake", "--cores", "all", *arguments, "--configfile", *files]
        return Started(command, self.folder, {**os.environ, **environment})

    def run(self, *arguments: str, overlay: dict | None = None, **options) -> Run:
        """Run `snakemake *arguments` to its end."""
        return self.start(*arguments, overlay=overlay, **options).wait()

    def plan(self, *arguments: str, overlay: dict | None = None, **options) -> set[str]:
        """The jobs that a run would execute, by a dry run."""
        return _whole(self.run("--dry-run", *arguments, overlay=overlay, **options)).jobs

    def execute(self, *arguments: str, overlay: dict | None = None, **options) -> set[str]:
        """Run to a good end: the jobs that it listed. Those that were really run, and did not stand, left another receipt than before."""
        before = self.receipts()
        run = _whole(self.run(*arguments, overlay=overlay, **options))
        written = {job for job, receipt in self.receipts().items() if receipt != before.get(job)}
        differing = written ^ (run.jobs - run.stood)
        assert not differing, f"snakemake's account of what it ran is not the receipts' for {sorted(differing)}: {run.said[-20000:]}"
        return run.jobs

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace `old`, which is there once, in a file."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        """Write a text file, and the folders above it."""
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_text(text, encoding="utf-8")

    def append(self, file: str, text: str = "\nNOTED = True\n") -> None:
        """Add to the end of a file."""
        with open(self.folder / file, "a", encoding="utf-8") as stream:
            stream.write(text)

    def remove(self, *paths: str) -> None:
        """Delete files and folders that are there."""
        for path in (self.folder / p for p in paths):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def receipt(self, job: str) -> Path:
        """Where a job's receipt is: receipts/train_ppo/A/0/ppo.json."""
        return self.folder / "results/tiny/receipts" / f"{job.replace('-', '/')}.json"

    def receipts(self) -> dict[str, str]:
        """{job: text of its receipt}."""
        folder = self.folder / "results/tiny/receipts"
        return {path.relative_to(folder).with_suffix("").as_posix().replace("/", "-"): path.read_text() for path in folder.rglob("*.json")}

    def files(self) -> dict[str, str]:
        """{path: MD5} of every file in results/."""
        found = [p for p in (self.folder / "results").rglob("*") if p.is_file() and p.name != ".snakemake_timestamp"]
        return {p.relative_to(self.folder).as_posix(): hashlib.md5(p.read_bytes()).hexdigest() for p in found}

    def products(self) -> dict[str, str]:
        """{path: MD5} of every parquet file and of all weights, which repeat byte for byte; the table of costs holds times."""
        files = [
            p for suffix in ("parquet", "safetensors") for p in (self.folder / "results").rglob(f"*.{suffix}") if p.name != "cost.parquet"
        ]
        return {p.relative_to(self.folder).as_posix(): hashlib.md5(p.read_bytes()).hexdigest() for p in files}


def _whole(run: Run) -> Run:
    """The run, which ended well and says that there was nothing to do if and only if it listed no job."""
    assert run.status == 0, run.said[-6000:]
    assert (NOTHING in run.said) == (not run.jobs), run.said[-6000:]
    return run
