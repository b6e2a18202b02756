"""The tables as people read them: every cell is text, for the report and the summary alike. Missing is a dash, never 0."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..data.canaries import COHORTS
from ..probing.prompts import NATIVE, PROMPTS
from . import formats
from .findings import Tables, between, points
from .formats import MISSING, interval, percent
from .looks import COHORTS as LOOK


@dataclass(frozen=True)
class Cell:
    """What stands in a cell: the text, and a note in small letters below it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class View:
    """A table: heads, rows of as many cells, how many columns hold words, and for each row why it is greyed out, or nothing."""

    heads: list[Cell]
    rows: list[list[Cell]]
    words: int = 1
    flags: list[str] = field(default_factory=list)


def view(
    heads: Iterable[str | Cell],
    rows: Iterable[Iterable[str | Cell]],
    *,
    words: int = 1,
    collapsed: Iterable[bool] = (),
    flags: Iterable[str] = (),
) -> View:
    """A View of texts and cells; `collapsed` stands for the flag of that name."""
    cell = lambda c: c if isinstance(c, Cell) else Cell(str(c))  # noqa: E731
    made = [[cell(c) for c in row] for row in rows]
    said = list(flags) or ["collapsed" if c else "" for c in collapsed] or [""] * len(made)
    return View([cell(c) for c in heads], made, words, said)


def number(value: float | None, decimals: int = 2) -> str:
    """A number with a true minus."""
    return formats.number(value, decimals).replace("-", "−")


def signed(value: float | None, decimals: int = 2, *, unit: str = "") -> str:
    """A difference, with its sign."""
    return MISSING if value is None else ("+" if value > 0 else "") + number(value, decimals) + unit


def cohorts_of(rows: Iterable[dict]) -> list[str]:
    """The cohorts that occur, in their fixed order."""
    there = {row["cohort"] for row in rows}
    return [c for c in COHORTS if c in there]


def matrix(rows: list[dict], utility: list[dict], cell: Callable[[list[dict]], Cell]) -> View:
    """Policy x cohort; `cell` makes one of the rows (all doses together) of a policy and cohort, a dash stands where there are none."""
    found: dict[tuple, list[dict]] = {}
    for row in rows:
        if row["dose"] is None:
            found.setdefault((row["policy"], row["cohort"]), []).append(row)
    cohorts = cohorts_of(rows)
    policies = [u for u in utility if any(policy == u["policy"] for policy, _ in found)]
    body = [[u["policy"], *(cell(found[u["policy"], c]) if (u["policy"], c) in found else MISSING for c in cohorts)] for u in policies]
    return view(["policy", *(Cell(c, LOOK[c]["planted"]) for c in cohorts)], body, collapsed=[u["collapsed"] for u in policies])


def listing(rows: list[dict], words: list[str], columns: dict[str, Callable[[dict], str | Cell]]) -> View:
    """One line per row: `words` are its keys that stand as they are, `columns` say what follows."""
    body = [[*(_word(row[w]) for w in words), *(make(row) for make in columns.values())] for row in rows]
    return view(
        [*(w.replace("_", " ") for w in words), *columns], body, words=len(words), collapsed=[bool(r.get("collapsed")) for r in rows]
    )


def _word(value) -> str:
    return "all" if value is None else str(value)


def by_dose(rows: list[dict]) -> list[dict]:
    """The rows of single doses; canaries that were never planted have none."""
    return [row for row in rows if row["dose"]]


def rate(row: dict, prefix: str = "") -> Cell:
    """A rate over its count and interval."""
    return Cell(*formats.rate(row, prefix))


def headline(tables: Tables) -> View:
    """Policy x cohort: the counterfactual rate, beside held-out perplexity."""
    native = [m for m in tables["memorization"] if m["probe"] == NATIVE]
    made = matrix(native, tables["utility"], lambda rows: rate(rows[0], "counterfactual_"))
    last = {
        u["policy"]: Cell(number(u["perplexity_ratio"]), f"{number(u['perplexity'], 1)} ({span(u, 'perplexity', 1)})")
        for u in tables["utility"]
    }
    rows = [[*row, last[row[0].text]] for row in made.rows]
    return View([*made.heads, Cell("perplexity ratio", "held-out perplexity")], rows, 1, made.flags)


def span(row: dict, name: str, decimals: int = 2, joint: str = "–") -> str:
    """The interval of a number."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return MISSING if low is None or high is None else f"{number(low, decimals)}{joint}{number(high, decimals)}"


def doses(tables: Tables) -> View:
    """Memorized rate by policy, cohort and dose."""
    rows = by_dose([m for m in tables["memorization"] if m["probe"] == NATIVE])
    columns = {"saw it": rate, "did not": lambda r: rate(r, "control_"), "counterfactual": lambda r: rate(r, "counterfactual_")}
    return listing(rows, ["policy", "cohort", "dose"], columns)


def persistence(tables: Tables) -> View:
    """What is left of what the reference (`of`, where there are several) memorized; cohorts in which nothing was there or came are left out."""
    rows = [p for p in tables["persistence"] if p["memorized_by_reference"] or p["lost"] or p["gained"]]
    columns = {
        "memorized before": lambda r: str(r["memorized_by_reference"]),
        "still memorized": lambda r: str(r["still_memorized"]) if r["memorized_by_reference"] else MISSING,
        "share": lambda r: Cell(percent(r["rate"]), "" if r["rate"] is None else interval(r["low"], r["high"])),
        "canaries lost": lambda r: str(r["lost"]),
        "gained": lambda r: str(r["gained"]),
        "McNemar's p": lambda r: formats.p_value(r["mcnemar_p"]),
    }
    several = len({p["reference"] for p in rows}) > 1
    return listing([{**p, "of": p["reference"]} for p in rows], ["policy", *(["of"] if several else []), "cohort"], columns)


def contrast(tables: Tables, measure: str) -> View:
    """Paired differences of one measure."""
    rows = [{**c, "pair": f"{c['policy']} − {c['other']}"} for c in tables["contrast"] if c["measure"] == measure]
    share = measure == "memorized"
    value = points if share else signed
    columns = {
        "n": lambda r: str(r["n"]),
        "difference": lambda r: Cell(value(r["difference"]), between(r) if share else span(r, "difference", joint=" to ")),
        "p": lambda r: formats.p_value(r["p"]),
        "Holm's p": lambda r: formats.p_value(r["p_holm"]),
        "detectable": lambda r: points(r["minimum_detectable"], sign=False) if share else number(r["minimum_detectable"]),
    }
    if any(r["seeds"] > 1 for r in rows):
        columns["over seeds"] = lambda r: (
            MISSING if r["seed_low"] is None else f"{value(r['seed_low'], unit='')} to {value(r['seed_high'], unit='')}"
        )
    return listing(rows, ["pair", "cohort"], columns)


def means(row: dict, show: Callable[[float], str], change: Callable[..., str]) -> Cell:
    """The paired difference with its interval, over the means of the arm that saw the canaries and of the other."""
    ends = f"{change(row['difference_low'], unit='')} to {change(row['difference_high'], unit='')}"
    return Cell(change(row["difference"]), f"{ends}\n{show(row['mean'])} against {show(row['control'])}")


def context(tables: Tables) -> View:
    """Memorized rate by policy, cohort and prompt condition."""
    rows = [m for m in tables["memorization"] if m["dose"] is None]
    there = [p for p in PROMPTS if any(m["probe"] == p for m in rows)]
    there += sorted({m["probe"] for m in rows} - set(there))
    cells = {(m["policy"], m["cohort"], m["probe"]): rate(m) for m in rows}
    keys = [(u, c) for u in tables["utility"] for c in cohorts_of(rows)]
    body = [[u["policy"], c, *(cells.get((u["policy"], c, p), MISSING) for p in there)] for u, c in keys]
    return view(["policy", "cohort", *there], body, words=2, collapsed=[u["collapsed"] for u, _ in keys])
