"""The jobs of a workflow as its rules declare them, and why each of them is stale."""

import functools
import hashlib
import os
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..errors import InputError
from . import receipts
from . import snakemake_adapter as adapter
from .code import ROOT, closure, digest, portable
from .content import md5


@dataclass(eq=False)
class Job:
    """One job: a rule, its wildcards, and what the rule declares for them."""

    rule: str  # as Snakemake names it: in a workflow that uses ours as a module not as `declared` does
    wildcards: dict[str, str]
    declared: dict
    receipt: str
    benchmark: str | None
    sources: list[str]  # inputs that no rule makes
    parents: dict[str, "Job"]  # {input: the job that makes it}
    reasons: list[str] = field(default_factory=list)  # why it is stale itself
    packed: bool = False  # its receipt is the ledger's, which is not yet in its place
    taken: bool = False  # its artifacts are another run's (takeover.py); in a dry run they would be

    @property
    def name(self) -> str:
        """As in logs: rule and wildcards."""
        return receipts.name_of(self.declared["rule"], self.wildcards.values())

    @property
    def own(self) -> list[str]:
        """The user's files among its inputs, which Snakemake does not see, as its receipt names them."""
        return list(self.declared["own"])

    @property
    def outputs(self) -> list[str]:
        """Paths of its artifacts, without the receipt."""
        return list(receipts.files(self.declared["outputs"]))

    @functools.cached_property
    def recorded(self) -> dict:
        """Its receipt; empty where there is none."""
        return receipts.read(self.receipt)

    @property
    def recorded_outputs(self) -> dict[str, str]:
        """{path: MD5} of its artifacts, by its receipt."""
        return receipts.files(self.recorded.get("outputs", {}))

    @functools.cached_property
    def outdated(self) -> bool:
        """Whether it is stale, or depends on a job that is."""
        return bool(self.reasons) or any(parent.outdated for parent in self.parents.values())


class Plan:
    """The jobs of a workflow as its rules declare them, found by asking which rule makes a file.

    `strict` are packages whose version counts; `known` are receipts by path beside those on disk (the ledger's).
    """

    def __init__(self, workflow, strict: list[str], known: dict[str, list[dict]]):
        self.strict, self.known, self._jobs, self._makers, self._code = strict, known, {}, {}, {}
        self.rules = {rule: adapter.as_written(rule) for rule in adapter.rules_with_outputs(workflow)}

    def maker(self, path: str) -> Job | None:
        """The job that makes a file; None for a source file."""
        if path not in self._makers:
            found = ((rule, adapter.wildcards_of(rule, path)) for rule in self.rules)
            rule, wildcards = next((pair for pair in found if pair[1] is not None), (None, None))
            self._makers[path] = rule and self.job(rule, wildcards)
        return self._makers[path]

    def job(self, rule, wildcards: dict[str, str]) -> Job:
        """The job of a rule for some wildcards, judged."""
        receipt = adapter.receipt_of(self.rules[rule], wildcards)
        if receipt not in self._jobs:
            self._jobs[receipt] = self._judged(self.rules[rule], wildcards, receipt)
        return self._jobs[receipt]

    def reachable(self, targets: list[str]) -> list[Job]:
        """Every job that the targets depend on, parents first."""
        visited: dict[Job, None] = {}

        def visit(job: Job) -> None:
            if job not in visited:
                for parent in job.parents.values():
                    visit(parent)
                visited[job] = None

        for path in targets:
            if job := self.maker(path):
                visit(job)
        return list(visited)

    def _judged(self, rule, wildcards: dict[str, str], receipt: str) -> Job:
        declared = adapter.declared(rule, wildcards)
        makers = {str(f): self.maker(str(f)) for f in declared.inputs}
        for f in declared.inputs:  # an ancient() edge would not pass on that its maker ran; a source file's time means nothing
            if bool(f.is_ancient) == bool(makers[str(f)]):
                remedy = "an artifact; take ancient() off" if makers[str(f)] else "no rule's output; wrap it in ancient()"
                raise InputError(f"rule {rule.name}: its input {f} is {remedy}")
        script = declared.script.relative_to(ROOT).as_posix()
        if not declared.script.is_file():
            raise InputError(f"rule {rule.name}: its script {script} is missing; write it, or correct the name in the rule")
        job = Job(
            rule=rule.name,
            wildcards=dict(wildcards),
            declared=receipts.declaration(
                rule=declared.script.stem,
                wildcards=wildcards,
                script=script,
                inputs=declared.inputs,
                outputs=declared.outputs,
                params=declared.params,
            ),
            receipt=receipt,
            benchmark=declared.benchmark,
            sources=[path for path, maker in makers.items() if not maker],
            parents={path: maker for path, maker in makers.items() if maker},
        )
        job.reasons = self.reasons(job)
        return job

    def reasons(self, job: Job) -> list[str]:
        """Why a job's artifacts are not what running it now would give, in words; nothing where they are.

        Of several receipts of the job, its own and the ledger's, the one that is valid counts.
        """
        own = receipts.read(job.receipt)
        reasons = self._against(job, own) if own else ["it has no valid receipt"]
        for kept in self.known.get(job.receipt, []):
            if reasons and kept != own and not ((others := self._against(job, kept)) and own):
                reasons, own, job.packed = others, kept, True
        job.recorded = own
        return reasons

    def stands(self, job: Job) -> bool:
        """Whether a job's outputs, as they are now, are what running it would give: early cut-off.

        A job that runs only because its inputs were made again, and whose inputs came out the same, need not run.
        """
        receipt = receipts.read(job.receipt)
        self._code.clear()  # hours may have passed
        return bool(receipt) and all(Path(path).exists() for path in job.outputs) and not self._against(job, receipt)

    def _against(self, job: Job, receipt: dict) -> list[str]:
        differences = self.differences(job, receipt)
        made = receipts.files(receipt["outputs"])
        for path in job.outputs:  # a receipt may name others; what the rule does not declare is not looked at
            if path in made and Path(path).exists() and md5(path) != made[path]:
                differences.append(f"output {path} is not what the job wrote: changed, damaged or of another version")
        return differences

    def differences(self, job: Job, receipt: dict) -> list[str]:
        """What differs between a job as it would run now and one with this receipt, in words."""
        differences = receipts.changes(_without_lost_sources(receipt, job, self), job.declared)
        for file in sorted({*closure(job.declared["script"]), *receipt["code"]}):
            if (found := self._digest(file)) is None:
                differences.append(f"module {_short(file)} is gone")
            elif found != receipt["code"].get(file):
                differences.append(f"{'script' if file == job.declared['script'] else 'module'} {_short(file)}")
        before = receipts.files(receipt["inputs"])
        now = {portable(path): path for path in [*job.sources, *job.parents]} | {path: path for path in job.own}
        for path in now.keys() & before.keys():
            if self._content(job, now[path]) != before[path]:
                differences.append(f"input {path} has other content")
        for package, was in receipt["made"]["versions"].items():
            if package in self.strict and (after := _version(package)) != was:
                differences.append(f"version of {package}: {was} -> {after}")
        return differences

    def _digest(self, file: str) -> str | None:
        """Digest of a module, looked at once for all jobs that are judged together; None where there is no such module."""
        if file not in self._code:
            there = os.path.isfile(ROOT / file)  # noqa: PTH113  # a Path cannot be asked for a name that is too long
            self._code[file] = digest(file) if there else None
        return self._code[file]

    def _content(self, job: Job, path: str) -> str | None:
        """MD5 of an input; of one that was not pulled or is not yet taken over, what its maker's receipt says."""
        maker = job.parents.get(path)
        if maker and maker.packed and path == maker.receipt:
            return hashlib.md5(receipts.text(maker.recorded).encode()).hexdigest()
        place = Path(path).expanduser()
        if place.exists() and not (maker and maker.taken):
            return receipts.md5_of(path, place, job.declared["own"])
        return maker.recorded_outputs.get(path) if maker else None


def _without_lost_sources(receipt: dict, job: Job, plan: Plan) -> dict:
    """The receipt without source files that are not on this machine: what was made of them stands."""
    now = {*map(portable, [*job.sources, *job.parents]), *job.own}
    is_here = lambda path: os.path.exists(os.path.expanduser(path))  # noqa: E731, PTH110, PTH111  # whatever a receipt calls a path
    kept = lambda path: path in now or is_here(path) or plan.maker(path)  # noqa: E731
    inputs = {key: {p: v for p, v in paths.items() if kept(p)} for key, paths in receipt["inputs"].items()}
    return {**receipt, "inputs": inputs}


def _short(file: str) -> str:
    return file.removeprefix("workflow_scripts/")


def _version(package: str) -> str | None:
    try:
        return version(package) if package != "python" else ".".join(map(str, sys.version_info[:3]))
    except PackageNotFoundError:
        return None
