"""What a run cost, from the receipt of every job.

Times include a job's imports. Its memory is the largest that the process held, as the system counts it.
"""

from importlib.metadata import version

from ...parquet import declare, optional
from . import columns

SCHEMA = declare(
    "cost",
    rule=columns.TEXT,
    policy=optional(columns.TEXT),
    arm=optional(columns.TEXT),
    seed=optional(columns.COUNT),
    wall_s=columns.NUMBER,
    cpu_s=optional(columns.NUMBER),
    peak_memory_mb=optional(columns.NUMBER),
    gpu_peak_mb=optional(columns.NUMBER),
    steps=optional(columns.BIG_COUNT),
    tokens=optional(columns.BIG_COUNT),
    device=optional(columns.TEXT),
)
_MEASURED = ("wall_s", "cpu_s", "peak_memory_mb", "gpu_peak_mb", "steps", "tokens", "device")
_LIBRARIES = ("pandas", "scipy", "pyarrow", "matplotlib")  # they make the tables and figures


def summarize(receipts: list[dict]) -> list[dict]:
    """Rows of `cost`, one per receipt and in their order; None where a job has no such wildcard or measure (what both arms share has no arm).

    A reward model's name stands in the column of the policies, with which it shares one name space.
    """
    rows = []
    for receipt in receipts:
        wildcards, measured = receipt["wildcards"], receipt["made"]
        row = dict(rule=receipt["rule"], policy=wildcards.get("policy", wildcards.get("reward")), arm=wildcards.get("arm"))
        row |= {"seed": int(wildcards["seed"]) if "seed" in wildcards else None}
        rows.append(row | {name: measured.get(name) for name in _MEASURED})
    return rows


def by_rule(rows: list[dict]) -> list[dict]:
    """Sums over the jobs of each rule (peaks: the largest), in order of first occurrence; None where no job has the value."""
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    return [dict(rule=rule, **_total([row for row in rows if row["rule"] == rule])) for rule in rules]


def _total(rows: list[dict]) -> dict:
    """jobs, wall_s, cpu_s, tokens (sums), peak_memory_mb, gpu_peak_mb (largest) and devices of some rows of `cost`."""
    known = {name: [row[name] for row in rows if row[name] is not None] for name in _MEASURED}
    sums = {name: sum(known[name]) if known[name] else None for name in ("wall_s", "cpu_s", "tokens")}
    peaks = {name: max(known[name], default=None) for name in ("peak_memory_mb", "gpu_peak_mb")}
    return dict(jobs=len(rows), **sums, **peaks, devices=sorted(set(known["device"])))


def versions(receipts: list[dict]) -> dict[str, list[str]]:
    """{package: versions} of the jobs with these receipts (several where they differ), and of the libraries that make tables and figures."""
    versions: dict[str, set[str]] = {package: {version(package)} for package in _LIBRARIES}
    for receipt in receipts:
        for package, number in receipt["made"]["versions"].items():
            versions.setdefault(package, set()).add(number)
    return {package: sorted(numbers) for package, numbers in sorted(versions.items())}
