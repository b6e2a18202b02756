"""Views of what changes from one policy to another: what stays, and contrasts (see views.py)."""

from ..tables.files import Tables
from ..text.format import MISSING, interval, number, p_value, percent, points, points_interval, signed
from ..text.trends import per_step
from .views import Cell, View, listing, p_of, points_of, signed_of, text_of


def persistence(tables: Tables) -> View:
    """What is left of what the reference policy memorized, by dose; cells of which nothing was memorized before or after are left out."""
    rows = [r for r in tables["persistence"] if r["dose"] is not None and (r["memorized_by_reference"] or r["lost"] or r["gained"])]
    columns = {
        "memorized before": text_of("memorized_by_reference"),
        "still memorized": lambda row: str(row["still_memorized"]) if row["memorized_by_reference"] else MISSING,
        "share": lambda row: Cell(percent(row["rate"]), "" if row["rate"] is None else interval(row["low"], row["high"])),
        "canaries lost": text_of("lost"),
        "gained": text_of("gained"),
        "McNemar's p": p_of("mcnemar_p"),
    }
    several = len({row["reference_policy"] for row in rows}) > 1
    return listing(rows, ["policy", *(["reference_policy"] if several else []), "cohort", "dose", "presentations"], columns)


def persistence_trend(tables: Tables) -> View:
    """The share kept against the KL coefficient, of each sweep."""
    columns = {
        "memorized before": text_of("memorized_by_reference"),
        "still memorized": text_of("still_memorized"),
        "share kept": lambda row: Cell(points(row["slope"]), f"{points_interval(row, 'slope')}\nper {per_step(row)}"),
        "p": p_of("p"),
    }
    return listing(tables["persistence_trend"], ["policies", "kl_coefs", "cohort", "dose", "presentations"], columns)


def contrast(tables: Tables, measure: str) -> View:
    """Differences in differences of one measure."""
    rows = [{**row, "pair": f"{row['policy']} − {row['other']}"} for row in tables["contrast"] if row["measure"] == measure]
    is_share = measure == "memorized"
    of, show = (points_of, points) if is_share else (signed_of, signed)
    columns = {
        "n": text_of("n"),
        "saw it": lambda row: show(row["seen"]),
        "did not": lambda row: show(row["unseen"]),
        "difference": of("difference"),
        "arm A": lambda row: MISSING if row["difference_a"] is None else of("difference_a")(row),
        "arm B": lambda row: MISSING if row["difference_b"] is None else of("difference_b")(row),
        "p": p_of("p"),
        "Holm's p": lambda row: "placebo" if row["placebo"] else MISSING if row["p_holm"] is None else p_value(row["p_holm"]),
        "detectable": lambda row: points(row["minimum_detectable"], sign=False) if is_share else number(row["minimum_detectable"]),
    }
    return listing(rows, ["pair", "cohort"], columns)
