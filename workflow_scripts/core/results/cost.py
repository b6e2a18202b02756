"""What a run cost: rows of `cost`, from the receipt of every job.

Times include a job's imports. Its memory is the largest that the process held, as the system counts it.
"""

from importlib.metadata import version


def cost(receipts: list[dict]) -> list[dict]:
    """Rows of `cost`, one per receipt and in their order; None where a job has no such wildcard or measure (what both arms share has no arm).

    A reward model's name stands in the column of the policies, with which it shares one name space.
    """
    rows = []
    for receipt in receipts:
        wildcards, made = receipt["wildcards"], receipt["made"]
        axes = dict(policy=wildcards.get("policy", wildcards.get("reward")), arm=wildcards.get("arm"))
        axes |= {"seed": int(wildcards["seed"]) if "seed" in wildcards else None}
        measured = {k: made.get(k) for k in ("wall_s", "cpu_s", "peak_memory_mb", "steps", "tokens", "device", "gpu_peak_mb")}
        rows.append({"rule": receipt["rule"], **axes, **measured})
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


def versions(receipts: list[dict], packages: tuple[str, ...] = ("pandas", "scipy", "pyarrow", "matplotlib")) -> dict[str, list[str]]:
    """{package: versions} of the jobs with these receipts (several where they differ), and of `packages`, which made the tables."""
    found: dict[str, set[str]] = {package: {version(package)} for package in packages}
    for receipt in receipts:
        for package, number in receipt["made"]["versions"].items():
            found.setdefault(package, set()).add(number)
    return {package: sorted(numbers) for package, numbers in sorted(found.items())}
