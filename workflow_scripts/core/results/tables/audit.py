"""Were the canaries really in the training sets, and nowhere else? Sums of the counts of data/audit.py."""

from ...data.cohorts import COHORTS
from ...parquet import declare
from . import columns
from .frames import Column, Frame

SCHEMA = declare(
    "audit",
    training_set=columns.TEXT,
    arm=columns.TEXT,
    cohort=columns.TEXT,
    sequence=columns.TEXT,
    dose=columns.COUNT,
    canaries=columns.COUNT,
    expected=columns.BIG_COUNT,
    counted=columns.BIG_COUNT,
    agree=columns.COUNT,
)


def summarize(*, counts: Frame) -> list[dict]:
    """Rows of `audit`: sums of the counts by training set, arm and dose.

    A canary's dose is what is expected of it where it is planted. `agree` counts the canaries that occur exactly as often as
    they should. The half of the other arm is in each row too: it is expected 0 times.
    """
    counts = counts.assign(
        dose=counts.groupby("canary_id")["expected"].transform("max"),
        agree=counts["expected"] == counts["counted"],
        cohort=_in_order(counts["cohort"], list(COHORTS)),
        training_set=_in_order(counts["training_set"], list(counts["training_set"].unique())),
    )
    key = ["training_set", "arm", "cohort", "sequence", "dose"]
    sums = counts.groupby(key, observed=True).agg(
        canaries=("canary_id", "nunique"), expected=("expected", "sum"), counted=("counted", "sum"), agree=("agree", "sum")
    )
    return sums.reset_index().astype({"training_set": str, "cohort": str}).to_dict("records")


def _in_order(column: Column, names: list[str]) -> Column:
    """The column as categories that sort as `names` do."""
    return column.astype("category").cat.set_categories(names)
