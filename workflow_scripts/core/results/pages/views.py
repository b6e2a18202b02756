"""The tables as people read them: every cell is text, the same in the report and in the summary. Missing is a dash, never 0."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ...data.cohorts import COHORTS
from ...probing.prompts import NATIVE, PROMPTS
from ..cohorts import LOOKS
from ..tables.files import Tables
from ..tables.memorization import overall
from ..text.format import (
    MISSING,
    NOT_KNOWN,
    number,
    number_interval,
    p_value,
    points,
    points_interval,
    rate_and_count,
    signed,
    signed_interval,
)


@dataclass(frozen=True)
class Cell:
    """What stands in a cell: the text, and a note in small letters below it."""

    text: str
    note: str = ""


DOSED = ["policy", "cohort", "dose", "presentations"]  # the columns with which a table by dose begins
CellMaker = Callable[[dict], str | Cell]  # from a row of a table


@dataclass(frozen=True)
class View:
    """A table: heads, rows of as many cells, how many of the first columns hold words, and for each row why it is greyed out, or ""."""

    heads: list[Cell]
    rows: list[list[Cell]]
    word_columns: int = 1
    flags: list[str] = field(default_factory=list)


def view(heads: Iterable[str | Cell], rows: Iterable[Iterable[str | Cell]], *, word_columns: int = 1, flags: Iterable[str] = ()) -> View:
    """A View of texts and cells."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    return View([_cell(head) for head in heads], cells, word_columns, list(flags) or [""] * len(cells))


def _cell(value: str | Cell) -> Cell:
    return value if isinstance(value, Cell) else Cell(str(value))


def collapse_flags(rows: Iterable[dict]) -> list[str]:
    """Which rows are greyed out because their policy collapsed."""
    return ["collapsed" if row.get("collapsed") else "" for row in rows]


def listing(rows: list[dict], words: list[str], columns: dict[str, CellMaker]) -> View:
    """One line per row: `words` are its keys that stand as they are, `columns` make the cells that follow."""
    body = [[*(_word(word, row[word]) for word in words), *(make(row) for make in columns.values())] for row in rows]
    heads = [*(word.replace("_", " ") for word in words), *columns]
    return view(heads, body, word_columns=len(words), flags=collapse_flags(rows))


def _word(name: str, value) -> str:
    missing = NOT_KNOWN if name == "presentations" else "all"
    return missing if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def matrix(rows: list[dict], utility: list[dict], cell: Callable[[list[dict]], Cell]) -> View:
    """Policy x cohort; `cell` makes one of the rows (all doses together) of a policy and cohort, a dash stands where there are none."""
    parts: dict[tuple, list[dict]] = {}
    for row in rows:
        if row["dose"] is None:
            parts.setdefault((row["policy"], row["cohort"]), []).append(row)
    cohorts, policies = cohorts_of(rows), [used for used in utility if any(used["policy"] == policy for policy, _ in parts)]
    body = [[u["policy"], *(cell(parts[u["policy"], c]) if (u["policy"], c) in parts else MISSING for c in cohorts)] for u in policies]
    return view(["policy", *(Cell(c, LOOKS[c].planted) for c in cohorts)], body, flags=collapse_flags(policies))


def cohorts_of(rows: Iterable[dict]) -> list[str]:
    """The cohorts that occur, in their fixed order."""
    present = {row["cohort"] for row in rows}
    return [cohort for cohort in COHORTS if cohort in present]


def by_dose(rows: list[dict]) -> list[dict]:
    """The rows of single doses; canaries that were never planted have none."""
    return [row for row in rows if row["dose"]]


def rate_cell(row: dict, prefix: str = "") -> Cell:
    """A rate over its count and interval."""
    return Cell(*rate_and_count(row, prefix))


def text_of(name: str) -> CellMaker:
    """A count or text of the row as it is."""
    return lambda row: str(row[name])


def number_of(name: str, decimals: int = 2, joint: str = "–") -> CellMaker:
    """A number of the row over its interval."""
    return lambda row: Cell(number(row[name], decimals), number_interval(row, name, decimals, joint))


def signed_of(name: str) -> CellMaker:
    """A difference of the row over its interval."""
    return lambda row: Cell(signed(row[name]), signed_interval(row, name))


def points_of(name: str) -> CellMaker:
    """A difference of shares over its interval."""
    return lambda row: Cell(points(row[name]), points_interval(row, name))


def p_of(name: str) -> CellMaker:
    """A p value of the row."""
    return lambda row: p_value(row[name])


def headline(tables: Tables) -> View:
    """Policy x cohort: the counterfactual rate, beside held-out perplexity."""
    rates = matrix(overall(tables["memorization"]), tables["utility"], lambda rows: rate_cell(rows[0], "counterfactual_"))
    perplexity = {row["policy"]: _perplexity(row) for row in tables["utility"]}
    rows = [[*row, perplexity[row[0].text]] for row in rates.rows]
    return View([*rates.heads, Cell("perplexity ratio", "held-out perplexity")], rows, 1, rates.flags)


def _perplexity(row: dict) -> Cell:
    return Cell(number(row["perplexity_ratio"]), f"{number(row['perplexity'], 1)} ({number_interval(row, 'perplexity', 1)})")


def doses(tables: Tables) -> View:
    """Memorized rate by policy, cohort and dose."""
    rows = by_dose([row for row in tables["memorization"] if row["probe"] == NATIVE])
    columns = {
        "saw it": rate_cell,
        "did not": lambda row: rate_cell(row, "control_"),
        "counterfactual": lambda row: rate_cell(row, "counterfactual_"),
        "difference": points_of("difference"),
    }
    return listing(rows, DOSED, columns)


def context(tables: Tables) -> View:
    """Memorized rate by policy, cohort and prompt condition."""
    rows = [row for row in tables["memorization"] if row["dose"] is None]
    present = {row["probe"] for row in rows}
    probes = [probe for probe in PROMPTS if probe in present] + sorted(present - set(PROMPTS))
    cells = {(row["policy"], row["cohort"], row["probe"]): rate_cell(row) for row in rows}
    keys = [(used, cohort) for used in tables["utility"] for cohort in cohorts_of(rows)]
    body = [[u["policy"], cohort, *(cells.get((u["policy"], cohort, probe), MISSING) for probe in probes)] for u, cohort in keys]
    return view(["policy", "cohort", *probes], body, word_columns=2, flags=collapse_flags(used for used, _ in keys))
