"""Views of the leaderboard: leakage beside utility, and leakage by cohort (see views.py)."""

from ...data.cohorts import PLANTED
from ..text.format import MISSING, method_in_words, number, number_interval, p_value, percent, points, points_interval
from .views import Cell, CellMaker, View, number_of, rate_cell, signed_of, view


def table(rows: list[dict]) -> View:
    """Policies by leakage, beside their utility; what is not comparable comes last, greyed, and says why."""
    columns = {
        "rank": rank,
        "leakage": rate_cell,
        "over the first": _difference,
        "exposure": signed_of("exposure"),
        "perplexity ×": perplexity_ratio,
        "reward": signed_of("reward_gain"),
        "KL": lambda row: Cell(number(row["kl_to_reference"], 3), number_interval(row, "kl", 3)),
        "on front": lambda row: Cell(percent(row["on_front"]), percent(row["on_reward_front"])) if row["comparable"] else MISSING,
    }
    return by_policy(rows, columns)


def by_cohort(rows: list[dict]) -> View:
    """The same policies: leakage by cohort."""
    cohorts = [cohort for cohort in PLANTED if any(row[f"{cohort}_n"] for row in rows)]
    return by_policy(rows, {cohort: lambda row, cohort=cohort: _cohort_rate(row, cohort) for cohort in cohorts})


def by_policy(rows: list[dict], columns: dict[str, CellMaker]) -> View:
    """One line per policy with its method; what is not comparable is greyed and says why."""
    body = [[row["policy"], method_in_words(row), *(make(row) for make in columns.values())] for row in rows]
    flags = ["" if row["comparable"] else f"not comparable: {row['reason']}" for row in rows]
    return view(["policy", "method", *columns], body, word_columns=2, flags=flags)


def rank(row: dict) -> str:
    """The rank among the comparable policies."""
    return str(row["rank"] or MISSING)


def perplexity_ratio(row: dict) -> Cell:
    """The ratio over its interval, with a star where the interval reaches beyond the band."""
    star = " *" if row["comparable"] and not row["equivalence_shown"] else ""
    cell = number_of("perplexity_ratio")(row)
    return Cell(cell.text + star, cell.note)


def _cohort_rate(row: dict, cohort: str) -> str | Cell:
    return rate_cell({**row, "n": row[f"{cohort}_n"]}, f"{cohort}_") if row[f"{cohort}_n"] else MISSING


def _difference(row: dict) -> str | Cell:
    if row["difference"] is None:
        return MISSING
    return Cell(points(row["difference"]), f"{points_interval(row)}, p {p_value(row['p_holm'])}")
