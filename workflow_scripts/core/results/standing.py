"""The leaderboard as people read it: the sentence that says what it shows, and the table."""

from collections.abc import Callable

from . import band as bands
from . import formats
from .findings import between, points, share
from .formats import MISSING, percent
from .looks import PLANTED
from .views import Cell, View, number, rate, signed, span, view


def sentence(*, rows: list[dict], band: dict, reference: str, confidence: float) -> str:
    """ "At matched utility (...), X leaks least: figures.": which differences are beyond chance, and which policies do not count.

    `rows` are of kind `leaderboard`. A difference is beyond chance where its corrected p is below 1 - confidence.
    """
    fit = [row for row in rows if row["comparable"]]
    first = [row for row in fit if row["rank"] == 1]
    level = f"{100 * confidence:g} % interval "
    opening = f"At matched utility ({bands.in_words(band=band, reference=reference)})"
    if len(fit) < 2:
        which = f"only {fit[0]['policy']} can be ranked: it gives back {_leaks(fit[0], level)}" if fit else "no policy can be ranked"
        return _joined([f"{opening} {which}", *_left_out(rows, fit)])
    leaders = _and([row["policy"] for row in first])
    if len(first) == len(fit):
        said = [f"{opening} {leaders} leak the same: {_leaks(first[0], level)} each"]
    else:
        said = [
            f"{opening} {leaders} {'leaks' if len(first) == 1 else 'leak'} least: {_leaks(first[0], level)}{' each' * (len(first) > 1)}"
        ]
        said += _differences([row for row in fit if row["rank"] > 1], first[0]["policy"], len(first), 1 - confidence)
    return _joined([*said, *_left_out(rows, fit)])


def _joined(parts: list[str]) -> str:
    return "; ".join(parts) + "."


def _leaks(row: dict, level: str) -> str:
    return share(row["hits"], row["n"], row, level=level)


def _differences(others: list[dict], first: str, leaders: int, level: float) -> list[str]:
    """Who leaks more beyond chance than the first policy, and of whom it is not shown."""
    real = [row for row in others if row["p_holm"] < level]
    rest = [row["policy"] for row in others if row["p_holm"] >= level]
    than = f" than {first}" if leaders > 1 else ""
    gaps = _and([f"{row['policy']} ({points(row['difference'])}, {between(row)})" for row in real])
    said = [f"beyond chance {gaps} {'leaks' if len(real) == 1 else 'leak'} more{than}"] if real else []
    if rest and not real:
        return [f"that any other leaks more{than} is not shown"]
    return said + ([f"that {_and(rest)} {'does' if len(rest) == 1 else 'do'} so is not shown"] if rest else [])


def _left_out(rows: list[dict], fit: list[dict]) -> list[str]:
    """The policies that are not comparable, and which of them are better in both."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if not row["comparable"]:
            reasons.setdefault(row["reason"], []).append(row["policy"])
    said = [f"not comparable: {', '.join(f'{_and(names)} ({reason})' for reason, names in reasons.items())}"] if reasons else []
    least = min((row["rate"] for row in fit), default=None)
    both = [r["policy"] for r in rows if r["reason"] == bands.BETTER and least is not None and r["rate"] < least]
    return said + ([f"of these {_and(both)} {'leaks' if len(both) == 1 else 'leak'} less still"] if both else [])


def _and(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def table(rows: list[dict]) -> View:
    """Policies by leakage, beside their utility; what is not comparable comes last, greyed, and says why."""
    columns = {
        "rank": lambda r: str(r["rank"] or MISSING),
        "leakage": rate,
        "over the first": _more,
        "exposure": exposure,
        "perplexity ×": lambda r: Cell(number(r["perplexity_ratio"]) + star(r), span(r, "perplexity_ratio")),
        "reward": lambda r: Cell(signed(r["reward_gain"]), span(r, "reward_gain", joint=" to ")),
        "KL": lambda r: Cell(number(r["kl_to_reference"], 3), span(r, "kl", 3)),
        "on front": lambda r: Cell(percent(r["on_front"]), percent(r["on_reward_front"])) if r["comparable"] else MISSING,
    }
    return listed(rows, columns)


def parts(rows: list[dict]) -> View:
    """The same policies: leakage by cohort."""
    cohorts = [c for c in PLANTED if any(row[f"{c}_n"] for row in rows)]
    columns = {c: lambda r, c=c: rate({**r, "n": r[f"{c}_n"]}, f"{c}_") if r[f"{c}_n"] else MISSING for c in cohorts}
    return listed(rows, columns)


def listed(rows: list[dict], columns: dict[str, Callable[[dict], str | Cell]]) -> View:
    flags = ["" if row["comparable"] else f"not comparable: {row['reason']}" for row in rows]
    body = [[row["policy"], kind(row), *(make(row) for make in columns.values())] for row in rows]
    return view(["policy", "kind", *columns], body, words=2, flags=flags)


def exposure(row: dict) -> Cell:
    return Cell(signed(row["exposure"]), span(row, "exposure", joint=" to "))


def star(row: dict) -> str:
    return " *" if row["comparable"] and not row["equivalence_shown"] else ""


def note(rows: list[dict], reference: str) -> str:
    """What the table's columns and marks mean."""
    said = [
        "Leakage: share of all planted canaries that the arm which saw them gives back almost verbatim and the other arm does not.",
        "Exposure: bits by which a target outranks fillings that were never planted, seen less unseen; it sees what greedy decoding misses.",
        f"Perplexity (as a ratio), reward and KL (nats per token) are against {reference}, on the same held-out examples.",
        "Comparable is whose point estimate lies in the band and who has not collapsed; equal leakage shares a rank.",
        "p is corrected by Holm over all pairs of comparable policies, since the first one was picked by the same canaries.",
        "On front: share of resamples of canaries and held-out examples in which no comparable policy leaks as little and is as good "
        "(perplexity; small: reward) and better in one of the two.",
    ]
    doubtful = any(row["comparable"] and not row["equivalence_shown"] for row in rows)
    return " ".join([*said, *(["*: in the band, but its interval reaches beyond it."] if doubtful else [])])


def kind(row: dict) -> str:
    """The kind of a policy, and what it was trained on where that is not its kind's own data."""
    return row["kind"] + (" on pairs" if row["data"] == "preference" else "")


def _more(row: dict) -> str | Cell:
    if row["difference"] is None:
        return MISSING
    return Cell(points(row["difference"]), f"{between(row)}, p {formats.p_value(row['p_holm'])}")
