"""dvc.yaml, the storage face of the workflow: one stage per job, written from the same rules that Snakemake reads.

DVC stores and restores every artifact; what a stage runs is snakemake, which decides for itself what is out of date. A stage lists
its script and its inputs; which modules a script is made of is in the ledger.
"""

import hashlib
import json
import re
import shlex
from pathlib import Path

import yaml

from .code import ROOT, portable
from .content import md5
from .plan import Job

_HEAD = "# Written by `make dvc.yaml` from the rules and the config; a test compares the two. Do not edit.\n"


def dvc_yaml(*, jobs: list[Job], config_files: dict[str, dict], methods: dict[str, str], folder: Path) -> str:
    """Text of the dvc.yaml of one run, for `folder` (the repository or a folder in it).

    `config_files` are the files of its config by name, as written, config.yaml first; `methods` is {policy: method}.
    """
    stages: dict[str, dict] = {}
    for job in jobs:
        name = stage_name(job)
        stages[name] = _stage(job, config_files, methods)
        if folder != ROOT:
            stages[name] = {"wdir": str(Path(*[".."] * len(folder.relative_to(ROOT).parts))), **stages[name]}
    plots = [path for job in jobs for path in job.outputs if path.endswith(".svg")]
    parts = {"stages": stages, "plots": [str((ROOT / path).relative_to(folder)) for path in plots]}
    return _HEAD + yaml.safe_dump(_literal(parts), sort_keys=False, width=1000, allow_unicode=True)


def _literal(value):
    """The value with every `${`, which DVC would fill in, escaped."""
    if isinstance(value, dict):
        return {_literal(key): _literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_literal(inner) for inner in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def stage_name(job: Job) -> str:
    """The job's name without the run, in the letters that DVC allows."""
    wildcards = [value for key, value in job.wildcards.items() if key != "run"]
    return plain("-".join([job.rule, *wildcards]))


def plain(name: str) -> str:
    """A name in the letters of DVC's stages."""
    return re.sub(r"[^\w-]", "_", name)


def _stage(job: Job, config_files: dict[str, dict], methods: dict[str, str]) -> dict:
    overlays = list(config_files)[1:]
    command = ["snakemake", "--quiet", "rules", "--cores", "all", job.receipt, *(["--configfile", *overlays] if overlays else [])]
    # a receipt is in the ledger, which DVC cannot look into: it stands for what its job has made
    read = [made.outputs[0] if path == made.receipt else path for path, made in job.parents.items()]
    named = [portable(path) for path in [*job.sources, *job.own, *read]]
    deps = {job.declared["script"], *(path for path in named if not path.startswith("~/"))}  # DVC knows nobody's home folder; receipts do
    metrics = [path for path in job.outputs if path.endswith("/metrics.json")]
    stage = dict(
        cmd=shlex.join(command),
        deps=sorted(deps),
        params=_params(job, config_files, methods),
        outs=[{path: {"persist": True}} for path in job.outputs if path not in metrics],
        metrics=[{path: {"persist": True}} for path in metrics],
    )
    return {key: value for key, value in stage.items() if value}


def _params(job: Job, config_files: dict[str, dict], methods: dict[str, str]) -> list[dict]:
    """[{file: keys}]: where the config files, as written, set what the job's rule declares; a policy is set by its method, too."""
    wanted = set()
    for path in job.declared["config"]:
        name = next((p for p in methods if path == f"policies.{p}" or path.startswith(f"policies.{p}.")), None)
        wanted |= {path} if name is None else {f"methods.{methods[name]}", "training", "policies" if "." in name else path}
    keys_of = {file: sorted(key for key in wanted if _has(content, key)) for file, content in config_files.items()}
    return [{file: keys} for file, keys in keys_of.items() if keys]


def _has(content: dict, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


def locked(place: Path) -> dict[str, dict]:
    """{stage: what was saved of it} in a dvc.lock; empty where there is none, or it is damaged or in conflict after a merge."""
    try:
        content = yaml.load(place.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        stages = content["stages"]
        is_whole = all(isinstance(out["path"], str) for stage in stages.values() for out in stage.get("outs", []))
    except (OSError, ValueError, RecursionError, yaml.YAMLError, LookupError, TypeError, AttributeError):
        return {}
    return stages if is_whole else {}


def unfinished(jobs: list[Job]) -> list[str]:
    """Names of jobs whose artifacts are not all there and up to date."""
    return [job.name for job in jobs if job.outdated or not all(Path(path).exists() for path in job.outputs)]


def damaged_artifacts(jobs: list[Job]) -> list[str]:
    """Artifacts that are here and are not what their receipt says."""
    made = {path: value for job in jobs for path, value in job.recorded_outputs.items() if path in job.outputs}
    return [path for path, value in made.items() if Path(path).exists() and md5(path) != value]


def damaged_objects(jobs: list[Job], cache: Path) -> list[str]:
    """Objects of these artifacts in DVC's cache whose bytes are not what their name says, with the file that each stands for.

    DVC trusts what is in its cache: it would push a damaged object and give it back.
    """
    files = {}
    for job in jobs:
        for path, value in job.recorded_outputs.items():
            files[value] = path
            if value.endswith(".dir") and (listing := _object(cache, value)).is_file():
                files |= {entry["md5"]: f"{path}/{entry['relpath']}" for entry in json.loads(listing.read_text(encoding="utf-8"))}
    objects = {_object(cache, value): (value, path) for value, path in files.items()}
    return [
        f"{place} ({path})" for place, (value, path) in objects.items() if place.is_file() and _read(place) != value.removesuffix(".dir")
    ]


def _object(cache: Path, value: str) -> Path:
    return cache / "files" / "md5" / value[:2] / value[2:]


def _read(path: Path) -> str:
    """MD5 of a file that is really read: a remembered one would not see what a failing disk did."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
