"""What of the canaries came back, and what of it stayed: rows of kinds `memorization` and `persistence`, and the headline.

Every count is of pairs, canary x seed (pairs.py), but seeds repeat canaries and add none: intervals are Clopper-Pearson with the
number of distinct canaries as n (statistics.proportion). Only `memorization` knows other probes than NATIVE.
"""

import csv

import pandas as pd

from .. import parquet as files
from ..data.canaries import COHORTS
from ..probing.prompts import NATIVE, PROMPTS
from . import formats
from .kinds import TABLES
from .pairs import by_cohort, cells, rate, twins
from .statistics import mcnemar_exact, proportion

_COMPARED = ("perplexity", "exact_line_rate", "parse_rate", "mean_reward", "kl_to_reference")  # columns of utility


def memorization(*, extraction: pd.DataFrame, utility: list[dict], confidence: float) -> list[dict]:
    """Rows of kind `memorization`: policy x probe x cohort x dose, and over all doses (dose None).

    Counterfactual = memorized by the arm that saw the canary and not by the other (arXiv 2112.12938). Policies are in the order of
    `utility`, whose `collapsed` they take over, probes in that of PROMPTS.
    """
    pairs = twins(extraction=extraction, measures=["memorized"], probe=None)
    pairs = pairs.assign(counterfactual_memorized=pairs["memorized"] & ~pairs["control_memorized"])
    parts = dict(iter(pairs.groupby("probe", observed=True)))
    return [
        dict(**about, probe=probe, **_rates(cell, confidence))
        for policy in utility
        for probe in PROMPTS
        if probe in parts
        for about, cell in cells(pairs=parts[probe], utility=[policy])
    ]


def _rates(pairs: pd.DataFrame, confidence: float) -> dict:
    """n, and hits, rate and interval of the assigned arm, of the control, and of the counterfactual."""
    row = {"n": len(pairs)}
    for prefix in ("", "control_", "counterfactual_"):
        row |= rate(pairs=pairs, is_hit=pairs[f"{prefix}memorized"], prefix=prefix, confidence=confidence)
    return row


def persistence(*, extraction: pd.DataFrame, utility: list[dict], reference: str, later: list[str], confidence: float) -> list[dict]:
    """Rows of kind `persistence`: of what `reference` memorized (assigned arm), the share that each `later` policy still does.

    The rate is None where the reference memorized nothing. `lost` and `gained` count canaries, over the whole cohort, that
    fewer or more seeds memorize than before (with one seed: pairs that changed), and mcnemar_p is McNemar's exact test on them.
    """
    pairs = twins(extraction=extraction, measures=["memorized"])
    before = pairs[pairs["policy"] == reference]
    collapsed = {u["policy"]: u["collapsed"] for u in utility}
    rows = []
    for policy in later:
        after = pairs.loc[pairs["policy"] == policy, ["seed", "canary_id", "memorized"]]
        both = before.merge(after, on=["seed", "canary_id"], suffixes=("_before", "_after"), validate="one_to_one")
        if not len(both) == len(before) == len(after):
            raise ValueError(f"{policy} and {reference} were not probed with the same canaries")
        for cohort, found in by_cohort(both):
            rows.append(dict(policy=policy, reference=reference, cohort=cohort, collapsed=collapsed[policy], **_kept(found, confidence)))
    return rows


def _kept(pairs: pd.DataFrame, confidence: float) -> dict:
    """Counts, rate and test of one policy and cohort; columns memorized_before and memorized_after."""
    known = pairs[pairs["memorized_before"]]
    n, kept = len(known), int(known["memorized_after"].sum())
    change = (pairs["memorized_after"].astype(int) - pairs["memorized_before"].astype(int)).groupby(pairs["canary_id"]).sum()
    lost, gained = int((change < 0).sum()), int((change > 0).sum())
    share, low, high = proportion(hits=kept, n=n, units=known["canary_id"].nunique(), confidence=confidence) if n else (None, None, None)
    return dict(
        memorized_by_reference=n,
        still_memorized=kept,
        rate=share,
        low=low,
        high=high,
        lost=lost,
        gained=gained,
        mcnemar_p=mcnemar_exact(lost=lost, gained=gained),
    )


def headline(*, memorization: list[dict], utility: list[dict]) -> list[dict]:
    """The table to read first, as text: policy x cohort, counterfactual rate with its n and interval, beside the perplexity ratio."""
    texts = {(m["policy"], m["cohort"]): "{} ({})".format(*formats.counterfactual(m)) for m in _overall(memorization)}
    cohorts = [c for c in COHORTS if any(c == cohort for _, cohort in texts)]
    return [
        {"policy": u["policy"] + (" (collapsed)" if u["collapsed"] else "")}
        | {c: texts[u["policy"], c] for c in cohorts}
        | {"held-out perplexity": f"{formats.number(u['perplexity'], 1)} (× {formats.number(u['perplexity_ratio'])})"}
        for u in utility
    ]


def _overall(memorization: list[dict]) -> list[dict]:
    """The rows over all doses, of canaries as planted."""
    return [m for m in memorization if m["dose"] is None and m["probe"] == NATIVE]


def metrics(*, memorization: list[dict], utility: list[dict]) -> dict:
    """{policy: counterfactual rate by cohort, and utility}: single numbers, for tools that compare runs (`dvc metrics diff`)."""
    rates = {policy["policy"]: {} for policy in utility}
    for m in _overall(memorization):
        rates[m["policy"]][m["cohort"]] = m["counterfactual_rate"]
    return {u["policy"]: {"memorized": rates[u["policy"]], **{key: u[key] for key in _COMPARED}} for u in utility}


def write(*, rows: list[dict], kind: str, parquet, table) -> None:
    """Write `rows` of a table, `kind` in kinds.TABLES: parquet held to its schema, and CSV for people (six digits, missing is empty)."""
    files.write(rows, TABLES[kind], parquet)
    write_csv(rows=rows, columns=TABLES[kind].names, path=table)


def write_csv(*, rows: list[dict], columns: list[str], path) -> None:
    """Write `columns` of `rows` as CSV; the header is there also where there are no rows."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({c: f"{r[c]:.6g}" if isinstance(r[c], float) else r[c] for c in columns} for r in rows)
