"""Contrasts in words: the endpoints of two policies on the preference canaries."""

from ..tables.files import Tables
from .format import enumeration, number, p_equals, points, points_with_interval, signed, signed_interval

DIFFERENCES = ("difference", "difference_a", "difference_b")
NOUNS = {"memorized": "extraction", "target_logprob": "likelihood", "exposure": "exposure"}
UNITS = {"target_logprob": "nats per token", "exposure": "bits"}


def contrast_row(
    tables: Tables, policy: str | None, other: str | None, *, measure: str = "memorized", cohort: str = "preference"
) -> dict | None:
    """The contrast policy - other on a cohort; where the table has other - policy, that row with its signs reversed."""
    for row in tables["contrast"]:
        if (row["cohort"], row["measure"]) == (cohort, measure):
            if (row["policy"], row["other"]) == (policy, other):
                return row
            if (row["policy"], row["other"]) == (other, policy):
                return _reversed(row)
    return None


def _reversed(row: dict) -> dict:
    minus = lambda name: None if row[name] is None else -row[name]  # noqa: E731
    turned = {name: minus(name) for name in ("seen", "unseen", *DIFFERENCES)}
    for name in DIFFERENCES:
        turned |= {f"{name}_low": minus(f"{name}_high"), f"{name}_high": minus(f"{name}_low")}
    return {**row, "policy": row["other"], "other": row["policy"], **turned}


def endpoint_rows(tables: Tables, report: dict, policy: str | None, other: str | None) -> list[dict]:
    """The contrasts policy - other on the preference cohort, one for each endpoint; none where any is missing."""
    rows = [contrast_row(tables, policy, other, measure=measure) for measure in report["endpoints"]]
    return rows if all(rows) else []


def criterion(difference: str, report: dict) -> str:
    which = "the endpoint" if len(report["endpoints"]) == 1 else "an endpoint"
    level = f"{1 - report['confidence']:g}"
    return (
        f"Shown if {which} differs ({difference}, each seen − unseen) above 0 with a Holm-corrected p below {level} and none below 0, "
        "contradicted the other way round."
    )


def change(row: dict) -> str:
    """The difference of a row of `contrast` with its interval and p, corrected if the row is of an endpoint."""
    p = row["p"] if row["p_holm"] is None else row["p_holm"]
    return f"{gap(row).removesuffix(')')}, {p_equals(p)})"


def gap(row: dict) -> str:
    """The difference of a row of `contrast` with its interval."""
    if row["measure"] == "memorized":
        return points_with_interval(row)
    return f"{signed(row['difference'])} {UNITS.get(row['measure'], '')} ({signed_interval(row, 'difference')})"


def noun(row: dict) -> str:
    return NOUNS.get(row["measure"], row["measure"])


def arms(rows: list[dict]) -> str:
    """The same on the canaries of each arm alone, and what this run could have detected."""
    show = lambda row, name: points(row[name], unit="") if row["measure"] == "memorized" else signed(row[name])  # noqa: E731
    apart = [
        f"{noun(r)} {show(r, 'difference_a')} and {show(r, 'difference_b')}"
        for r in rows
        if None not in (r["difference_a"], r["difference_b"])
    ]
    detectable = [
        points(r["minimum_detectable"], sign=False)
        if r["measure"] == "memorized"
        else f"{number(r['minimum_detectable'])} {UNITS.get(r['measure'], '')}"
        for r in rows
    ]
    replication = f"Canaries that arm A saw and those that arm B saw: {', '.join(apart)}. " if apart else ""
    return f"{replication}This run could detect {enumeration(detectable)}."
