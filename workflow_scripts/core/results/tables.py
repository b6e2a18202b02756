"""What of the canaries came back, and what of it stayed: rows of kinds `memorization` and `persistence`, and the headline.

A canary's *assigned* arm is the one of its half, its *control* the other arm. For `heldout`, which neither arm planted, the assigned
arm is a placebo: its rates say what the generator, the prompt and chance give away. Every count is of canary x seed, but seeds
repeat canaries and add none: intervals are Clopper-Pearson with the number of distinct canaries as n (statistics.proportion).
"""

import csv
from collections.abc import Iterator

import pandas as pd

from .. import schemas
from ..data.canaries import COHORTS, HALF_OF_ARM
from ..probing.rows import NATIVE
from . import formats
from .statistics import mcnemar_exact, proportion

_KEY = ["policy", "seed", "canary_id"]
_COMPARED = ("perplexity", "exact_line_rate", "parse_rate", "mean_reward", "kl_to_reference")  # columns of utility


def pair(*, extraction: pd.DataFrame) -> pd.DataFrame:
    """One row per policy x seed x canary, of its assigned arm: as `extraction`, with `control` and `counterfactual` (both bool).

    `counterfactual` = memorized by the arm that saw the canary and not by the other (arXiv 2112.12938). Raises ValueError where
    a canary lacks one of its two arms, or has one twice.
    """
    native = extraction[extraction["probe"] == NATIVE]
    is_assigned = native["arm"].map(HALF_OF_ARM) == native["half"]
    control = native.loc[~is_assigned, [*_KEY, "memorized"]].rename(columns={"memorized": "control"})
    both = native[is_assigned].merge(control, on=_KEY, how="outer", validate="one_to_one", indicator=True)
    if (alone := both[both["_merge"] != "both"]).size:
        raise ValueError(
            f"{len(alone)} canaries were not probed in both arms, first {alone['canary_id'].iloc[0]} under {alone['policy'].iloc[0]}"
        )
    both = both.drop(columns="_merge").astype({"memorized": bool, "control": bool})
    return both.assign(counterfactual=both["memorized"] & ~both["control"])


def memorization(*, extraction: pd.DataFrame, utility: list[dict], confidence: float) -> list[dict]:
    """Rows of kind `memorization`: policy x cohort x dose, and policy x cohort over all doses (dose None).

    Policies are in the order of `utility`, whose `collapsed` they take over.
    """
    pairs = pair(extraction=extraction)
    rows = []
    for policy in utility:
        for cohort, found in _cohorts(pairs[pairs["policy"] == policy["policy"]]):
            cells = [(int(dose), part) for dose, part in found.groupby("dose")] + [(None, found)]
            about = dict(policy=policy["policy"], cohort=cohort, collapsed=policy["collapsed"])
            rows += [dict(**about, dose=dose, **_rates(part, confidence)) for dose, part in cells]
    return rows


def _cohorts(pairs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The cohorts that occur, in their fixed order."""
    for cohort in COHORTS:
        if (found := pairs[pairs["cohort"] == cohort]).size:
            yield cohort, found


def _rates(pairs: pd.DataFrame, confidence: float) -> dict:
    """n, and hits, rate and interval of the assigned arm, of the control, and of the counterfactual."""
    n, units = len(pairs), pairs["canary_id"].nunique()
    row = {"n": n}
    for prefix, column in (("", "memorized"), ("control_", "control"), ("counterfactual_", "counterfactual")):
        hits = int(pairs[column].sum())
        rate, low, high = proportion(hits=hits, n=n, units=units, confidence=confidence)
        row |= {f"{prefix}hits": hits, f"{prefix}rate": rate, f"{prefix}low": low, f"{prefix}high": high}
    return row


def persistence(*, extraction: pd.DataFrame, utility: list[dict], reference: str, later: list[str], confidence: float) -> list[dict]:
    """Rows of kind `persistence`: of what `reference` memorized (assigned arm), the share that each `later` policy still does.

    The rate is None where the reference memorized nothing. `lost` and `gained` count canaries, over the whole cohort, that
    fewer or more seeds memorize than before (with one seed: pairs that changed), and mcnemar_p is McNemar's exact test on them.
    """
    pairs = pair(extraction=extraction)
    before = pairs[pairs["policy"] == reference]
    collapsed = {u["policy"]: u["collapsed"] for u in utility}
    rows = []
    for policy in later:
        after = pairs.loc[pairs["policy"] == policy, ["seed", "canary_id", "memorized"]]
        both = before.merge(after, on=["seed", "canary_id"], suffixes=("_before", "_after"), validate="one_to_one")
        if not len(both) == len(before) == len(after):
            raise ValueError(f"{policy} and {reference} were not probed with the same canaries")
        for cohort, found in _cohorts(both):
            rows.append(dict(policy=policy, reference=reference, cohort=cohort, collapsed=collapsed[policy], **_kept(found, confidence)))
    return rows


def _kept(pairs: pd.DataFrame, confidence: float) -> dict:
    """Counts, rate and test of one policy and cohort; columns memorized_before and memorized_after."""
    known = pairs[pairs["memorized_before"]]
    n, kept = len(known), int(known["memorized_after"].sum())
    change = (pairs["memorized_after"].astype(int) - pairs["memorized_before"].astype(int)).groupby(pairs["canary_id"]).sum()
    lost, gained = int((change < 0).sum()), int((change > 0).sum())
    rate, low, high = proportion(hits=kept, n=n, units=known["canary_id"].nunique(), confidence=confidence) if n else (None, None, None)
    return dict(
        memorized_by_reference=n,
        still_memorized=kept,
        rate=rate,
        low=low,
        high=high,
        lost=lost,
        gained=gained,
        mcnemar_p=mcnemar_exact(lost=lost, gained=gained),
    )


def headline(*, memorization: list[dict], utility: list[dict]) -> list[dict]:
    """The table to read first, as text: policy x cohort, counterfactual rate with its n and interval, beside the perplexity ratio."""
    cells = {(m["policy"], m["cohort"]): "{} ({})".format(*formats.counterfactual(m)) for m in memorization if m["dose"] is None}
    cohorts = [c for c in COHORTS if any(c == cohort for _, cohort in cells)]
    return [
        {"policy": u["policy"] + (" (collapsed)" if u["collapsed"] else "")}
        | {c: cells[u["policy"], c] for c in cohorts}
        | {"held-out perplexity": f"{formats.number(u['perplexity'], 1)} (× {formats.number(u['perplexity_ratio'])})"}
        for u in utility
    ]


def metrics(*, memorization: list[dict], utility: list[dict]) -> dict:
    """{policy: counterfactual rate by cohort, and utility}: single numbers, for tools that compare runs (`dvc metrics diff`)."""
    rates = {policy["policy"]: {} for policy in utility}
    for m in memorization:
        if m["dose"] is None:
            rates[m["policy"]][m["cohort"]] = m["counterfactual_rate"]
    return {u["policy"]: {"memorized": rates[u["policy"]], **{key: u[key] for key in _COMPARED}} for u in utility}


def write(*, rows: list[dict], kind: str, parquet, table) -> None:
    """Write `rows` of `kind` as parquet, held to its schema, and as CSV for people (six digits, missing is empty)."""
    schemas.write_parquet(rows, kind, parquet)
    write_csv(rows=rows, columns=schemas.SCHEMAS[kind].names, path=table)


def write_csv(*, rows: list[dict], columns: list[str], path) -> None:
    """Write `columns` of `rows` as CSV; the header is there also where there are no rows."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({c: f"{r[c]:.6g}" if isinstance(r[c], float) else r[c] for c in columns} for r in rows)
