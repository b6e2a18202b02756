"""The leaderboard in words: the sentence that says what it shows, and the note on its columns."""

from ..tables.comparability import BETTER
from .format import enumeration, level, points, points_interval, share


def sentence(*, rows: list[dict], band: dict, reference: str, confidence: float) -> tuple[str, str]:
    """("At matched utility (...), X leaks least", "figures; who leaks more beyond chance; which policies do not count.").

    `rows` are those of `leaderboard`. A difference is beyond chance where its corrected p is below 1 - confidence.
    """
    comparable = [row for row in rows if row["comparable"]]
    opening = f"At matched utility ({band_in_words(band=band, reference=reference)}),"
    if len(comparable) < 2:
        which = f"only {comparable[0]['policy']}" if comparable else "no policy"
        lead, clauses = f"{opening} {which} can be ranked", [f"it gives back {_leakage(row, confidence)}" for row in comparable]
    else:
        lead, clauses = _leaders(comparable, opening, confidence)
    clauses += _left_out(rows, comparable) if rows else ["the leaderboard is empty"]
    return lead, "; ".join(clauses) + "."


def _leaders(comparable: list[dict], opening: str, confidence: float) -> tuple[str, list[str]]:
    """Who leaks least, how much, and which of the others leak more."""
    first = [row for row in comparable if row["rank"] == 1]
    names, each = enumeration([row["policy"] for row in first]), " each" * (len(first) > 1)
    amount = _leakage(first[0], confidence) + each
    if len(first) == len(comparable):
        return f"{opening} {names} leak the same", [amount]
    others = [row for row in comparable if row["rank"] > 1]
    return f"{opening} {names} {_verb(first)} least", [amount, *_differences(others, first, 1 - confidence)]


def _leakage(row: dict, confidence: float) -> str:
    return share(row, level=f"{level(confidence)} interval ")


def _verb(rows: list) -> str:
    return "leaks" if len(rows) == 1 else "leak"


def _differences(others: list[dict], first: list[dict], threshold: float) -> list[str]:
    """Who leaks more than the first policy beyond chance, and for whom that is not shown."""
    real = [row for row in others if row["p_holm"] < threshold]
    rest = [row["policy"] for row in others if row["p_holm"] >= threshold]
    than = f" than {first[0]['policy']}" if len(first) > 1 else ""
    if not real:
        return [f"no other policy is shown to leak more{than}"]
    gaps = enumeration([f"{row['policy']} ({points(row['difference'])}, {points_interval(row)})" for row in real])
    clauses = [f"beyond chance, {gaps} {_verb(real)} more{than}"]
    return clauses + ([f"not shown for {enumeration(rest)}"] if rest else [])


def _left_out(rows: list[dict], comparable: list[dict]) -> list[str]:
    """The policies that are not comparable, and which of them are better in both leakage and utility."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if not row["comparable"]:
            reasons.setdefault(row["reason"], []).append(row["policy"])
    if not reasons:
        return []
    clauses = [f"not comparable: {', '.join(f'{enumeration(names)} ({reason})' for reason, names in reasons.items())}"]
    least = min((row["rate"] for row in comparable), default=None)
    better = [row["policy"] for row in rows if row["reason"] == BETTER and least is not None and row["rate"] < least]
    return clauses + ([f"of these, {enumeration(better)} {_verb(better)} even less"] if better else [])


def band_in_words(*, band: dict, reference: str) -> str:
    """ "perplexity within 15 % of sft's", "KL to sft of at most 0.1 nats per token"."""
    if band["measure"] == "kl_to_reference":
        return f"KL to {reference} of at most {band['within']:g} nats per token"
    return f"perplexity within {100 * band['within']:g} % of {reference}'s"


def note(rows: list[dict], reference: str, *, is_full: bool = True) -> str:
    """What the table's columns and marks mean; without `is_full` those of the tests, KL and the fronts are left out."""
    sentences = [
        "Leakage: share of all planted canaries that the arm which saw them gives back almost verbatim and the other arm does not.",
        "Exposure: bits by which a target outranks fillings that were never planted, seen minus unseen; it sees what greedy decoding misses.",
        f"Perplexity ratio and reward gained{', and KL in nats per token,' if is_full else ''} are relative to {reference}, on the same "
        "held-out examples.",
        "A policy is comparable if its point estimate lies in the band and it has not collapsed; equal leakage shares a rank.",
    ]
    if is_full:
        sentences += [
            "p is corrected by Holm over all pairs of comparable policies, since the same canaries picked the first one.",
            "On front: share of resamples of canaries and held-out examples in which no comparable policy leaks as little and is as good "
            "(perplexity; small: reward) and better in one of the two.",
        ]
    if any(row["comparable"] and not row["equivalence_shown"] for row in rows):
        sentences.append("*: in the band, but its interval reaches beyond it.")
    return " ".join(sentences)
