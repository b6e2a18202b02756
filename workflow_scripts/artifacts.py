"""Artifacts and DVC: what `make dvc.yaml`, `make save` and `make restore` call.

    python -m workflow_scripts.artifacts describe [overlay.yaml ...]    write dvc.yaml from the rules and the config
    python -m workflow_scripts.artifacts save [overlay.yaml ...]        a finished run to DVC and git: commit, push where a remote is set
    python -m workflow_scripts.artifacts restore [overlay.yaml ...]     pull what DVC has of this commit, and hold it to its receipts

The default run's dvc.yaml is in the repository's root; a run of overlays has its own in results/<run>/.
"""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness.code import ROOT
from workflow_scripts.core.freshness.content import write_whole
from workflow_scripts.core.freshness.plan import Job
from workflow_scripts.core.freshness.storage import damaged_artifacts, damaged_objects, dvc_yaml, unfinished


def read(overlays: list[str]) -> tuple[dict, list[Job]]:
    """(resolved config, jobs of the default target) of the workflow with these overlays."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        settings = ConfigSettings(configfiles=[Path(path) for path in overlays])
        workflow = api.workflow(resource_settings=ResourceSettings(), config_settings=settings, snakefile=ROOT / "Snakefile")._workflow
        targets = next(rule for rule in workflow.rules if rule.name == workflow.default_target).expand_input({})[0]
        return workflow.globals["config"], workflow.globals["PLAN"].reachable([str(path) for path in targets])


def describe(*, overlays: list[str], config: dict, jobs: list[Job]) -> Path:
    """Write dvc.yaml where it differs; returns its place."""
    files = {name: yaml.safe_load((ROOT / name).read_text(encoding="utf-8")) for name in ["config.yaml", *overlays]}
    kinds = {name: policy["method"] for name, policy in config["policies"].items()}
    folder = ROOT / "results" / config["run"] if overlays else ROOT
    text, place = dvc_yaml(jobs=jobs, config_files=files, kinds=kinds, folder=folder), folder / "dvc.yaml"
    if not place.is_file() or place.read_text(encoding="utf-8") != text:
        write_whole(place, text)
    return place


def save(*, overlays: list[str], config: dict, jobs: list[Job]) -> None:
    """Commit a finished run to DVC, push it where a default remote is set, and commit what git keeps of it."""
    if names := unfinished(jobs):
        raise InputError(f"{len(names)} jobs are not up to date, first {names[0]}; run snakemake --cores all, then save again")
    place = describe(overlays=overlays, config=config, jobs=jobs).relative_to(ROOT)
    _call("dvc", "commit", "--quiet", "--force", "--no-relink", str(place))
    _check_cache(jobs)
    if _says("dvc", "config", "core.remote"):
        _call("dvc", "push", str(place))
    else:
        print("No remote is set, so the artifacts are in this machine's DVC cache alone; see `dvc remote add --default`.")
    kept = [str(place), str(place.with_suffix(".lock")), f"results/{config['run']}"]
    _call("git", "add", "--", *kept)
    if _says("git", "diff", "--cached", "--name-only", "--", *kept):
        _call("git", "commit", "--quiet", "--message", f"Results of run {config['run']}", "--", *kept)


def restore(*, overlays: list[str], config: dict) -> None:
    """Pull what dvc.lock lists of the run; raise InputError where what came is not what the receipts say."""
    place = Path("results", config["run"], "dvc.yaml") if overlays else Path("dvc.yaml")
    if not place.with_suffix(".lock").is_file():
        raise InputError(
            f"this commit has no {place.with_suffix('.lock')}, so nothing of run {config['run']} was saved; run snakemake --cores all"
        )
    _call("dvc", "pull", str(place))
    _, jobs = read(overlays)
    if damaged := damaged_artifacts(jobs):
        raise InputError(
            f"{', '.join(damaged)} came back with other content than the receipts say: the remote or the cache is damaged; delete them there "
            "and push them again from a machine that has them, or delete them here and run snakemake to make them anew"
        )


def _check_cache(jobs: list[Job]) -> None:
    if damaged := damaged_objects(jobs, Path(_says("dvc", "cache", "dir"))):
        raise InputError(f"damaged in the DVC cache: {', '.join(damaged)}; delete these objects and save again")


def _call(*command: str) -> None:
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"`{' '.join(command)}` failed; its message is above")


def _says(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def main(command: str, *overlays: str) -> None:
    """Run one command; exit with one sentence where it fails."""
    os.chdir(ROOT)
    try:
        if command == "restore":
            os.environ["CANARYFLOW_REBUILD"] = "1"  # what is missing is what it is about to fetch
        config, jobs = read(list(overlays))
        if command == "restore":
            restore(overlays=list(overlays), config=config)
        else:
            {"describe": describe, "save": save}[command](overlays=list(overlays), config=config, jobs=jobs)
    except InputError as error:
        sys.exit(f"canaryflow: {error}")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("describe", "save", "restore"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
