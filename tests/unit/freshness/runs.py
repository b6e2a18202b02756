"""Runs of a workflow of three stages: artifacts, receipts and the plan, without Snakemake."""

from pathlib import Path
from types import SimpleNamespace

from workflow_scripts.core.freshness import receipts
from workflow_scripts.core.freshness.code import closure, digest
from workflow_scripts.core.freshness.content import md5
from workflow_scripts.core.freshness.plan import Job, Plan

SCRIPT = "workflow_scripts/collect_corpus.py"
STAGES = {"collect": None, "train": "collect", "probe": "train"}  # {stage: the one whose artifact it reads}; train makes a folder


def artifact(run: str, stage: str) -> str:
    """Path of a stage's artifact."""
    return f"results/{run}/models/{stage}" if stage == "train" else f"results/{run}/{stage}.txt"


def receipt(run: str, stage: str) -> str:
    """Path of a stage's receipt."""
    return f"results/{run}/receipts/{stage}/A.json"


def declared(run: str, stage: str, setting: int = 1) -> dict:
    """What the rule of a stage declares."""
    reads = STAGES[stage]
    return receipts.declaration(
        rule=stage,
        wildcards={"run": run, "arm": "A"},
        script=SCRIPT,
        inputs={"before": artifact(run, reads)} if reads else {},
        outputs={"made": artifact(run, stage), "receipt": receipt(run, stage)},
        params={"config": {f"{stage}.setting": setting}},
    )


def hashed(declared: dict) -> dict:
    """A declaration with the MD5 of its inputs and outputs."""
    return {**declared, **{s: {key: {p: md5(p) for p in paths} for key, paths in declared[s].items()} for s in ("inputs", "outputs")}}


def make(run: str, **settings: int) -> None:
    """Run all stages: artifacts that depend on settings and inputs, and their receipts."""
    for stage in STAGES:
        job, path = declared(run, stage, settings.get(stage, 1)), Path(artifact(run, stage))
        file = path / "weights" if stage == "train" else path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{stage} {settings.get(stage, 1)} {[md5(p) for p in receipts.files(job['inputs'])]}")
        made = dict(wall_s=200.0, versions={"python": "3.11.7"})
        code = {module: digest(module) for module in closure(SCRIPT)}
        receipts.write(receipt(run, stage), {**hashed(job), "code": code, "made": made})


def planned(run: str, known: dict[str, dict] | None = None, **settings: int) -> tuple[Plan, list[Job]]:
    """The jobs of a run as the rules would declare them, judged; `known` are receipts of a ledger."""
    plan, jobs = Plan(SimpleNamespace(rules=[]), [], known or {}), {}
    for stage, reads in STAGES.items():
        job = Job(
            rule=stage,
            wildcards={"run": run, "arm": "A"},
            declared=declared(run, stage, settings.get(stage, 1)),
            receipt=receipt(run, stage),
            benchmark=None,
            sources=[],
            parents={artifact(run, reads): jobs[reads]} if reads else {},
        )
        jobs[stage] = plan._makers[artifact(run, stage)] = job
        job.reasons = plan.reasons(job)
    return plan, list(jobs.values())
