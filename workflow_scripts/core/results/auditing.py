"""Whether the experiment was what it says: were the canaries in the training sets, and do greedy completions depend on the batch?"""

import pandas as pd

from ..data.canaries import COHORTS
from .statistics import clopper_pearson

BASELINE = ("float32", 1)  # numeric type and batch size that parity is held against


def audit(*, counts: pd.DataFrame) -> list[dict]:
    """Rows of `audit` of the tables, from those of the data (data/audit.py): sums of counts by training set, arm and dose.

    A canary's dose is what is expected of it where it is planted. `agree` counts the canaries that occur exactly as often as
    they should. The half of the other arm is in each row too: it is expected 0 times.
    """
    counts = counts.assign(
        dose=counts.groupby("canary_id")["expected"].transform("max"),
        agree=counts["expected"] == counts["counted"],
        cohort=pd.Categorical(counts["cohort"], COHORTS),
        training_set=pd.Categorical(counts["training_set"], counts["training_set"].unique()),
    )
    key = ["training_set", "arm", "cohort", "sequence", "dose"]
    found = counts.groupby(key, observed=True).agg(
        canaries=("canary_id", "nunique"), expected=("expected", "sum"), counted=("counted", "sum"), agree=("agree", "sum")
    )
    return found.reset_index().astype({"training_set": str, "cohort": str}).to_dict("records")


def parity(*, completions: dict[str, pd.DataFrame], confidence: float) -> list[dict]:
    """Rows of `parity`: the share of items whose greedy completion differs from that in BASELINE, by policy, type and batch size.

    `completions` holds the rows of `completions_by_batch` of each policy. BASELINE itself has no row. Raises ValueError where
    it is missing, or not every setting answered the same items.
    """
    rows = []
    for policy, found in completions.items():
        answers = {
            (dtype, int(size)): dict(zip(part["item_id"], part["completion_ids"].map(tuple), strict=True))
            for (dtype, size), part in found.groupby(["dtype", "batch_size"])
        }
        if BASELINE not in answers:
            raise ValueError(f"{policy} was not asked in {BASELINE[0]}, one prompt at a time")
        wanted = answers.pop(BASELINE)
        for (dtype, size), given in sorted(answers.items(), key=lambda setting: (setting[0][0] != BASELINE[0], setting[0])):
            if given.keys() != wanted.keys():
                raise ValueError(f"{policy} answered other items in {dtype} at batch size {size} than in {BASELINE[0]}")
            hits = sum(given[item] != wanted[item] for item in wanted)
            low, high = clopper_pearson(hits=hits, n=len(wanted), confidence=confidence)
            about = dict(policy=policy, dtype=dtype, batch_size=size, n=len(wanted))
            rows.append({**about, "hits": hits, "rate": hits / len(wanted), "low": low, "high": high})
    return rows
