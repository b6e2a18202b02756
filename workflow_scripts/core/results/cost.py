"""What a run cost: rows of kind `cost`, from the benchmark file of every job and the `meta.json` of every checkpoint.

Times and memory are Snakemake's own measurements (psutil). It samples them, so a short job can lack one: missing, not 0.
"""

import csv
from importlib.metadata import version
from pathlib import Path, PurePath

from ..training.meta import read_meta

MISSING = ("NA", "-", "")
_AXES = {0: (), 2: ("arm", "seed"), 3: ("arm", "seed", "policy")}  # wildcards of a benchmark's path below its rule's name
_OF_META = ("steps", "tokens", "device", "gpu_peak_mb")


def job_of(*, path, root) -> dict:
    """{rule, policy, arm, seed} of a benchmark file `root`/rule.tsv or `root`/rule/.../policy.tsv; None where a job has no such wildcard.

    What both arms share has no arm. Raises ValueError where the path has another form.
    """
    rule, *values = PurePath(path).relative_to(root).with_suffix("").parts
    axes = (("arm",) if rule == "plant_arm" else ("policy",)) if len(values) == 1 else _AXES.get(len(values))
    if axes is None:
        raise ValueError(f"{path} is not the benchmark of a job: it has {len(values)} folders below the rule's name")
    found = dict(zip(axes, values, strict=True))
    arm, seed = found.get("arm"), found.get("seed")
    return dict(rule=rule, policy=found.get("policy"), arm=None if arm == "shared" else arm, seed=None if seed is None else int(seed))


def measured(text: str) -> dict:
    """{wall_s, cpu_s, peak_memory_mb} of a benchmark file's text; raises ValueError where it does not hold exactly one job."""
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    if len(rows) != 1:
        raise ValueError(f"a benchmark file holds {len(rows)} rows, not 1; delete it and run the workflow again")
    value = lambda column: None if rows[0][column] in MISSING else float(rows[0][column])  # noqa: E731
    return dict(wall_s=value("s"), cpu_s=value("cpu_time"), peak_memory_mb=value("max_rss"))


def cost(*, benchmarks: list[str], benchmark_root: str, models: list[str], model_root: str) -> list[dict]:
    """Rows of kind `cost`, one per benchmark file and in their order; training jobs with steps, tokens and device of their checkpoint."""
    metas = {PurePath(path).relative_to(model_root).parts: read_meta(path) for path in models}
    rows = []
    for path in benchmarks:
        job = job_of(path=path, root=benchmark_root)
        checkpoint = (job["arm"] or "shared", str(job["seed"]), job["policy"])
        meta = metas.get(checkpoint, {}) if job["rule"].startswith("train_") else {}
        rows.append({**job, **measured(Path(path).read_text(encoding="utf-8")), **{k: meta.get(k) for k in _OF_META}})
    return rows


def by_rule(rows: list[dict]) -> list[dict]:
    """Sums over the jobs of each rule (peaks: the largest), in order of first occurrence; None where no job has the value."""
    rules = list(dict.fromkeys(r["rule"] for r in rows))
    return [dict(rule=rule, **_total([r for r in rows if r["rule"] == rule])) for rule in rules]


def _total(rows: list[dict]) -> dict:
    """jobs, wall_s, cpu_s, tokens (sums), peak_memory_mb, gpu_peak_mb (largest) and devices of some cost rows."""
    known = {k: [r[k] for r in rows if r[k] is not None] for k in rows[0]}
    sums = {k: sum(known[k]) if known[k] else None for k in ("wall_s", "cpu_s", "tokens")}
    peaks = {k: max(known[k], default=None) for k in ("peak_memory_mb", "gpu_peak_mb")}
    return dict(jobs=len(rows), **sums, **peaks, devices=sorted(set(known["device"])))


def versions(*, models: list[str], packages: tuple[str, ...] = ("pandas", "scipy", "pyarrow", "matplotlib")) -> dict[str, list[str]]:
    """{package: versions} that trained the checkpoints (several where they differ) and that made the tables."""
    found: dict[str, set[str]] = {package: {version(package)} for package in packages}
    for path in models:
        for package, number in read_meta(path).get("versions", {}).items():
            found.setdefault(package, set()).add(number)
    return {package: sorted(numbers) for package, numbers in sorted(found.items())}
