"""The trend of what stays in words."""

from ..tables.files import Tables
from ..tables.persistence_trend import LOG2
from .format import enumeration, p_equals, points, points_interval


def trend(tables: Tables, ppo: str) -> str:
    """The trend of what stays over the KL coefficient, where the run has a sweep of which the policy is one."""
    rows = [r for r in tables["persistence_trend"] if ppo in r["policies"].split(", ") and r["cohort"] == "sft" and not r["collapsed"]]
    slopes = [f"{points(r['slope'])} at dose {r['dose']} ({points_interval(r, 'slope')}, {p_equals(r['p'])})" for r in rows]
    return f"Share kept per {per_step(rows[0])} over {rows[0]['policies']}: {enumeration(slopes)}; secondary." if rows else ""


def per_step(row: dict) -> str:
    """What the slope of a row of `persistence_trend` is per."""
    return "doubling of kl_coef" if row["scale"] == LOG2 else "step of kl_coef"
