"""The jobs of a workflow as its rules declare them, and why each of them is stale."""

import copy
import functools
import os
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..errors import InputError
from . import receipts
from .code import ROOT, closure, portable
from .content import md5


@dataclass(eq=False)
class Job:
    """One job: a rule, its wildcards, and what the rule declares for them."""

    rule: str
    wildcards: dict[str, str]
    declared: dict
    receipt: str
    benchmark: str | None
    sources: list[str]  # inputs that no rule makes
    parents: dict[str, "Job"]  # {input: the job that makes it}
    reasons: list[str] = field(default_factory=list)  # why it is stale itself
    taken: bool = False  # its artifacts are another run's (takeover.py); in a dry run they would be

    @property
    def name(self) -> str:
        """As in logs: rule and wildcards."""
        return receipts.name_of(self.rule, self.wildcards.values())

    @property
    def outputs(self) -> list[str]:
        """Paths of its artifacts, without the receipt."""
        return [path for paths in self.declared["outputs"].values() for path in paths]

    @functools.cached_property
    def recorded(self) -> dict:
        """Its receipt; empty where there is none."""
        return receipts.read(self.receipt)

    @functools.cached_property
    def outdated(self) -> bool:
        """Whether it is stale, or depends on a job that is."""
        return bool(self.reasons) or any(parent.outdated for parent in self.parents.values())


class Plan:
    """The jobs of a workflow as its rules declare them, found by asking which rule makes a file."""

    def __init__(self, workflow, strict: list[str]):
        self.strict, self._jobs, self._makers = strict, {}, {}
        self.rules = {rule: _as_written(rule) for rule in workflow.rules if rule.output}
        self._products = list(self.rules)

    def maker(self, path: str) -> Job | None:
        """The job that makes a file; None for a source file."""
        if path not in self._makers:
            rule = next((r for r in self._products if r.is_producer(path)), None)
            self._makers[path] = rule and self.job(rule, rule.get_wildcards(path))
        return self._makers[path]

    def job(self, rule, wildcards: dict[str, str]) -> Job:
        """The job of a rule for some wildcards, judged."""
        written = self.rules[rule]
        receipt = str(written.expand_output(wildcards)[0].receipt)
        if receipt not in self._jobs:
            self._jobs[receipt] = self._judged(written, wildcards, receipt)
        return self._jobs[receipt]

    def reachable(self, targets: list[str]) -> list[Job]:
        """Every job that the targets depend on, parents first."""
        found: dict[Job, None] = {}

        def visit(job: Job) -> None:
            if job not in found:
                for parent in job.parents.values():
                    visit(parent)
                found[job] = None

        for path in targets:
            if job := self.maker(path):
                visit(job)
        return list(found)

    def _judged(self, rule, wildcards: dict[str, str], receipt: str) -> Job:
        inputs, outputs = rule.expand_input(wildcards)[0], rule.expand_output(wildcards)[0]
        params = rule.expand_params(wildcards, inputs, outputs, None)[0]
        script = rule.basedir.join(rule.script).get_path_or_uri(secret_free=True)
        declared = receipts.declaration(
            rule=rule.name,
            wildcards=wildcards,
            script=Path(os.path.realpath(script)).relative_to(ROOT).as_posix(),
            inputs=inputs,
            outputs=outputs,
            params=params,
        )
        makers = {str(f): self.maker(str(f)) for f in inputs}
        for f in inputs:  # an ancient() edge would not pass on that its maker ran; a source file's time means nothing
            if bool(f.is_ancient) == bool(makers[str(f)]):
                remedy = "an artifact; take ancient() off" if makers[str(f)] else "no rule's output; wrap it in ancient()"
                raise InputError(f"rule {rule.name}: its input {f} is {remedy}")
        job = Job(
            rule=rule.name,
            wildcards=dict(wildcards),
            declared=declared,
            receipt=receipt,
            benchmark=str(benchmark) if (benchmark := rule.expand_benchmark(wildcards)) else None,
            sources=[path for path, maker in makers.items() if not maker],
            parents={path: maker for path, maker in makers.items() if maker},
        )
        job.reasons = self.reasons(job)
        return job

    def reasons(self, job: Job) -> list[str]:
        """Why a job's artifacts are not what running it now would give, in words; nothing where they are."""
        if not job.recorded:
            return ["it has no valid receipt"]
        found = self.differences(job, job.recorded)
        for path, before in job.recorded["output_md5"].items():
            if Path(path).exists() and md5(path) != before:
                found.append(f"output {path} is not what the job wrote: changed, damaged or of another version")
        return found

    def differences(self, job: Job, receipt: dict) -> list[str]:
        """What differs between a job as it would run now and one with this receipt, in words."""
        found = receipts.changes(_without_lost_sources(receipt, job, self), job.declared)
        for file in sorted({*closure(job.declared["script"]), *receipt["code"]}):
            if not (ROOT / file).is_file():
                found.append(f"module {_short(file)} is gone")
            elif md5(ROOT / file) != receipt["code"].get(file):
                found.append(f"{'script' if file == job.declared['script'] else 'module'} {_short(file)}")
        now = {portable(path): path for path in [*job.sources, *job.parents]}
        for path in now.keys() & receipt["input_md5"].keys():
            if _content(now[path], job.parents.get(now[path])) != receipt["input_md5"][path]:
                found.append(f"input {path} has other content")
        for package, before in receipt["made"]["versions"].items():
            if package in self.strict and (after := _version(package)) != before:
                found.append(f"version of {package}: {before} -> {after}")
        return found


def _as_written(rule):
    """A copy of a rule that our hidden input is not added to."""
    written = copy.copy(rule)
    written._input = type(rule._input)(toclone=rule._input)
    return written


def _without_lost_sources(receipt: dict, job: Job, plan: Plan) -> dict:
    """The receipt without source files that are not on this machine: what was made of them stands."""
    now = {portable(path) for path in [*job.sources, *job.parents]}
    kept = lambda path: path in now or Path(path).expanduser().exists() or plan.maker(path)  # noqa: E731
    return {**receipt, "inputs": {key: [p for p in paths if kept(p)] for key, paths in receipt["inputs"].items()}}


def _content(path: str, maker: Job | None) -> str | None:
    """MD5 of an input; of one that was not pulled or is not yet taken over, what its maker's receipt says."""
    if Path(path).exists() and not (maker and maker.taken):
        return md5(path)
    return maker.recorded.get("output_md5", {}).get(path) if maker else None


def _short(file: str) -> str:
    return file.removeprefix("workflow_scripts/")


def _version(package: str) -> str | None:
    try:
        return version(package) if package != "python" else ".".join(map(str, sys.version_info[:3]))
    except PackageNotFoundError:
        return None
