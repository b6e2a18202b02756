"""The tables as files, and what is read off them first: the headline, and the numbers that tools compare."""

import csv

from .. import parquet as files
from ..data.canaries import COHORTS
from ..probing.prompts import NATIVE
from . import formats
from .schemas import TABLES

_COMPARED = ("perplexity", "exact_line_rate", "parse_rate", "mean_reward", "kl_to_reference")  # columns of utility


def headline(*, memorization: list[dict], utility: list[dict]) -> list[dict]:
    """The table to read first, as text: policy x cohort, counterfactual rate with its n and interval, beside the perplexity ratio."""
    texts = {(m["policy"], m["cohort"]): "{} ({})".format(*formats.rate(m, "counterfactual_")) for m in _overall(memorization)}
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
    """Write `rows` of a table, `kind` in schemas.TABLES: parquet held to its schema, and CSV for people (six digits, missing is empty)."""
    files.write(rows, TABLES[kind], parquet)
    write_csv(rows=rows, columns=TABLES[kind].names, path=table)


def write_csv(*, rows: list[dict], columns: list[str], path) -> None:
    """Write `columns` of `rows` as CSV; the header is there also where there are no rows."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({c: f"{r[c]:.6g}" if isinstance(r[c], float) else r[c] for c in columns} for r in rows)
