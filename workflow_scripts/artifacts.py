"""Artifacts, DVC and git: what `make dvc.yaml`, `make save`, `make restore` and `make publish` call.

    python -m workflow_scripts.artifacts describe [overlay.yaml ...]    write dvc.yaml from the rules and the config
    python -m workflow_scripts.artifacts save [overlay.yaml ...]        a finished run to DVC and git: commit, push where a remote is set
    python -m workflow_scripts.artifacts restore [overlay.yaml ...]     pull what DVC has of this commit, and check it against the ledger
    python -m workflow_scripts.artifacts publish run [run ...]          save finished runs of experiments/, write docs/results; one commit

Git keeps a run's ledger and DVC's files, and what people read of published runs; DVC keeps the artifacts. The default run's dvc.yaml
is in the repository's root; a run of overlays has its own in results/<run>/.
"""

import os
import subprocess
import sys
from pathlib import Path

from workflow_scripts.core.config import files as config_files
from workflow_scripts.core.errors import InputError, of_full_disk
from workflow_scripts.core.freshness import ledger
from workflow_scripts.core.freshness import snakemake_adapter as adapter
from workflow_scripts.core.freshness.code import ROOT
from workflow_scripts.core.freshness.content import write_whole
from workflow_scripts.core.freshness.plan import Job
from workflow_scripts.core.freshness.storage import damaged_artifacts, damaged_objects, dvc_yaml, locked, stage_name, unfinished
from workflow_scripts.core.results.runs import overview, published


def read(overlays: list[str]) -> tuple[dict, list[Job]]:
    """(resolved config, jobs of the default target) of the workflow with these overlays; raises InputError where one is bad."""
    for overlay in overlays:
        config_files.read(overlay)
    names, targets = adapter.parsed(ROOT / "Snakefile", overlays)
    return names["config"], names["PLAN"].reachable(targets)


def describe(*, overlays: list[str], config: dict, jobs: list[Job]) -> Path:
    """Write dvc.yaml where it differs; returns its place."""
    files = {name: config_files.read(ROOT / name) for name in ["config.yaml", *overlays]}
    methods = {name: policy["method"] for name, policy in config["policies"].items()}
    folder = ROOT / "results" / config["run"] if overlays else ROOT
    text, place = dvc_yaml(jobs=jobs, config_files=files, methods=methods, folder=folder), folder / "dvc.yaml"
    if not place.is_file() or place.read_bytes() != text.encode():
        write_whole(place, text)
    return place.relative_to(ROOT)


def store(overlays: list[str]) -> tuple[str, list[str]]:
    """Commit a finished run to DVC, push it where a default remote is set; returns (run, files for git)."""
    config, jobs = read(overlays)
    if names := unfinished(jobs):
        raise InputError(f"{len(names)} jobs are not up to date, first {names[0]}; run snakemake --cores all, then save again")
    place = describe(overlays=overlays, config=config, jobs=jobs)
    lock = place.with_suffix(".lock")
    saved = locked(lock)
    if not saved or saved.keys() - {stage_name(job) for job in jobs}:  # in conflict after a merge, say, or with jobs that are no more
        lock.unlink(missing_ok=True)  # commit writes it whole, from the artifacts
    _call("dvc", "commit", "--quiet", "--force", "--no-relink", str(place))
    if damaged := damaged_objects(jobs, Path(_output("dvc", "cache", "dir"))):
        raise InputError(f"damaged in the DVC cache: {', '.join(damaged)}; delete these objects and save again")
    if _output("dvc", "config", "core.remote"):
        _call("dvc", "push", str(place))
    else:
        print("No default remote is set, so the artifacts are only in this machine's DVC cache; see `dvc remote add --default`.")
    kept = ledger.write(Path("results", config["run"]))
    return config["run"], [str(place), str(lock), str(kept), ".dvc/config"]


def save(*overlays: str) -> None:
    """Store one run, and commit what git keeps of it."""
    run, files = store(list(overlays))
    _commit(f"Results of run {run}", files)


def publish(*runs: str) -> None:
    """Store finished runs, write what people read of them to docs/results, and commit everything at once."""
    if not runs:
        raise InputError('no run is named; name finished runs, as in make publish RUNS="default quick"')
    files = []
    overlays = {run: Path("experiments", f"{run}.yaml") for run in runs}
    for run, overlay in overlays.items():  # all of them before the first is stored
        if run != "default" and not overlay.is_file():
            raise InputError(f"there is no {overlay}; name runs of experiments/, or default")
    for run, overlay in overlays.items():
        name, kept = store([] if run == "default" else [str(overlay)])
        if name != run:
            raise InputError(f"{overlay} makes run {name}; let `run:` be the name of its file")
        files += [*kept, *map(str, published.write(run=run, overlay=overlay if overlay.is_file() else None))]
    files.append(str(overview.into_readme(Path("docs/results"), Path("README.md"))))
    _commit(f"Results of {', '.join(runs)}" if len(runs) < 5 else f"Results of {len(runs)} runs", files)


def restore(*overlays: str) -> None:
    """Pull what dvc.lock lists of the run; raise InputError where what came is not what the ledger says."""
    os.environ["CANARYFLOW_REBUILD"] = "1"  # what is missing is what it is about to fetch
    config, _ = read(list(overlays))
    place = Path("results", config["run"], "dvc.yaml") if overlays else Path("dvc.yaml")
    lock = place.with_suffix(".lock")
    if not lock.is_file():
        raise InputError(f"this commit has no {lock}, so nothing of run {config['run']} was saved; run snakemake --cores all")
    if not locked(lock):
        raise InputError(f"{lock} is damaged or in conflict after a merge; take one side of it (git checkout --ours {lock}), or save again")
    if not _output("dvc", "config", "core.remote"):
        raise InputError("no default remote is set, so there is nothing to pull from; name it with `dvc remote add --default team URL`")
    _call("dvc", "pull", str(place))
    if damaged := damaged_artifacts(read(list(overlays))[1]):
        raise InputError(
            f"{', '.join(damaged)} came back with other content than the ledger says: the remote or the cache is damaged; delete them there "
            "and push them again from a machine that has them, or delete them here and run snakemake to make them again"
        )


def _commit(message: str, files: list[str]) -> None:
    files = [file for file in dict.fromkeys(files) if Path(file).exists()]
    _call("git", "add", "--", *files)
    if (Path(_output("git", "rev-parse", "--git-dir")) / "MERGE_HEAD").exists():
        print(f"A merge is under way, so {', '.join(files)} are added to it; end it with `git commit`.")
    elif _output("git", "diff", "--cached", "--name-only", "--", *files):
        _call("git", "commit", "--quiet", "--message", message, "--", *files)


def _call(*command: str) -> None:
    """Run a command; raise InputError where it fails. What moves data shows its progress, so its messages are not read."""
    moves = command[1] in ("push", "pull")
    done = subprocess.run(command, check=False, stderr=None if moves else subprocess.PIPE, text=True)
    sys.stderr.write(done.stderr or "")
    if done.returncode:
        full = of_full_disk(RuntimeError(done.stderr))
        raise InputError(full or f"`{' '.join(command)}` failed; its message is above")


def _output(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def main(command: str, *arguments: str) -> None:
    """Run one command; exit with one sentence where it fails."""
    os.chdir(ROOT)
    try:
        if command == "describe":
            config, jobs = read(list(arguments))
            describe(overlays=list(arguments), config=config, jobs=jobs)
        else:
            {"save": save, "restore": restore, "publish": publish}[command](*arguments)
    except (InputError, OSError) as error:
        if not (sentence := of_full_disk(error) or (str(error) if isinstance(error, InputError) else None)):
            raise
        sys.exit(f"canaryflow: {sentence}")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("describe", "save", "restore", "publish"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
