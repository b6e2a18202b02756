"""Views of the measures that see what greedy decoding misses (see views.py)."""

from collections.abc import Callable

from ...data.cohorts import UNPLANTED
from ..cohorts import LOOKS
from ..tables.files import Tables
from ..tables.membership import LOGPROB, SCORES, TWINS
from ..text.format import MISSING, interval, number, number_interval, p_value, percent
from .views import (
    DOSED,
    Cell,
    CellMaker,
    View,
    by_dose,
    cohorts_of,
    collapse_flags,
    listing,
    matrix,
    number_of,
    p_of,
    points_of,
    rate_cell,
    signed_of,
    text_of,
    view,
)

_CELL = ["policy", "cohort", "dose"]
_SCORES = dict(zip(SCORES, ("log-likelihood", "ratio to base", "zlib ratio", "Min-K%", "Min-K%++", "EZ-MIA", "PREMIA"), strict=True))


def _arms(row: dict, difference: CellMaker, show: Callable[[float], str]) -> Cell:
    """The paired difference with its interval, over the means of the arm that saw the canaries and of the other."""
    cell = difference(row)
    return Cell(cell.text, f"{cell.note}\n{show(row['mean'])} against {show(row['control'])}")


def exposure(tables: Tables) -> tuple[View, View]:
    """(all doses, by dose): bits of the planted target above those of fillings that were never planted."""
    columns = {
        "n": text_of("n"),
        "saw it": number_of("mean"),
        "did not": number_of("control"),
        "difference": signed_of("difference"),
        "fitted, difference": signed_of("fitted_difference"),
        "beats all": lambda row: rate_cell(row, "at_cap_"),
    }
    rows = tables["exposure"]
    all_doses = matrix(rows, tables["utility"], lambda cell: _arms(cell[0], signed_of("difference"), number))
    return all_doses, listing(by_dose(rows), DOSED, columns)


def recovery(tables: Tables, measure: str) -> tuple[View, View]:
    """(all doses, by dose): share of the secret's characters that came back, by one of the two measures."""
    rows = [row for row in tables["recovery"] if row["measure"] == measure]
    columns = {
        "n": text_of("n"),
        "saw it": lambda row: Cell(percent(row["mean"]), interval(row["mean_low"], row["mean_high"])),
        "did not": lambda row: Cell(percent(row["control"]), interval(row["control_low"], row["control_high"])),
        "difference": points_of("difference"),
    }
    all_doses = matrix(rows, tables["utility"], lambda cell: _arms(cell[0], points_of("difference"), percent))
    return all_doses, listing(by_dose(rows), DOSED, columns)


def secret_types(tables: Tables) -> tuple[View, View]:
    """(policies and cohorts of which some type came back, types side by side; every row): which secrets leak."""
    rows = tables["secret_types"]
    names = list(dict.fromkeys(row["secret_type"] for row in rows))
    cells = {(row["policy"], row["cohort"], row["secret_type"]): rate_cell(row) for row in rows}
    leaking = {(row["policy"], row["cohort"]): row for row in rows if row["hits"]}
    body = [[*key, *(cells.get((*key, name), MISSING) for name in names), p_value(row["p"])] for key, row in leaking.items()]
    heads = ["policy", "cohort", *names, "types differ: p"]
    columns = {
        "n": text_of("n"),
        "tokens": lambda row: number(row["target_tokens"], 0),
        "given back": rate_cell,
        "secret itself": lambda row: rate_cell(row, "secret_"),
        "p": p_of("p"),
        "exposure, difference": signed_of("exposure"),
        "its p": p_of("exposure_p"),
        "recovered, difference": points_of("recovered"),
    }
    side_by_side = view(heads, body, word_columns=2, flags=collapse_flags(leaking.values()))
    return side_by_side, listing(rows, ["policy", "cohort", "secret_type"], columns)


def membership(tables: Tables) -> tuple[View, View]:
    """(policy and score by cohort, all doses; cells by dose, scores side by side): AUC, its interval, and TPR."""
    rows, found = tables["membership"], {}
    for row in rows:
        found.setdefault((row["policy"], row["cohort"], row["dose"], row["score"]), {})[row["against"]] = row
    cohorts, scores = cohorts_of(rows), [s for s in SCORES if any(row["score"] == s for row in rows)]
    lines = [(used, score) for used in tables["utility"] for score in scores]
    body = [[u["policy"], _SCORES[s], *(_membership(found.get((u["policy"], c, None, s), {})) for c in cohorts)] for u, s in lines]
    heads = ["policy", "score", *(Cell(c, LOOKS[c].planted) for c in cohorts)]
    whole = view(heads, body, word_columns=2, flags=collapse_flags(used for used, _ in lines))
    logprob = [row for row in by_dose(rows) if row["score"] == LOGPROB]
    columns = {"members": text_of("members"), "others": text_of("nonmembers")}
    columns |= {_SCORES[s]: lambda row, s=s: _separation(found.get((*(row[k] for k in _CELL), s), {}).get(row["against"])) for s in scores}
    return whole, listing(logprob, [*DOSED, "against"], columns)


def _membership(against: dict[str, dict]) -> Cell:
    """AUC and TPR against twins (or what there is), and the AUC against unplanted."""
    first = against.get(TWINS, against.get(UNPLANTED))
    cell = _separation(first)
    if UNPLANTED in against and first is not against[UNPLANTED]:
        cell = Cell(cell.text, f"{cell.note}\nagainst unplanted {number(against[UNPLANTED]['auc'])}")
    return cell


def _separation(row: dict | None) -> Cell:
    """AUC over its interval and the TPR; a dash where the score does not exist."""
    return Cell(number(row["auc"]), f"{number_interval(row, 'auc')}, TPR {percent(row['tpr'])}") if row else Cell(MISSING)


def extraction_most(tables: Tables) -> tuple[int, float, View]:
    """(n, p, view): policy x cohort for the most samples and the lowest probability; the control in small letters."""
    rows = [row for row in tables["extraction_probability"] if row["dose"] is None]
    n, p = max((row["extraction_n"] for row in rows), default=0), min((row["extraction_p"] for row in rows), default=0)
    rows = [row for row in rows if (row["extraction_n"], row["extraction_p"]) == (n, p)]
    return n, p, matrix(rows, tables["utility"], lambda cell: _with_control(cell[0]))


def extraction_probability(tables: Tables) -> list[tuple[float, View]]:
    """For each probability p: policy and cohort by the number of samples n; the control in small letters."""
    rows = [row for row in tables["extraction_probability"] if row["dose"] is None]
    samples, views = sorted({row["extraction_n"] for row in rows}), []
    heads = ["policy", "cohort", *(f"{n:,} {'sample' if n == 1 else 'samples'}" for n in samples)]
    for p in sorted({row["extraction_p"] for row in rows}):
        lines: dict[tuple, dict[int, dict]] = {}
        for row in rows:
            if row["extraction_p"] == p:
                lines.setdefault((row["policy"], row["cohort"]), {})[row["extraction_n"]] = row
        body = [[*key, *(_with_control(line[n]) if n in line else MISSING for n in samples)] for key, line in lines.items()]
        flags = collapse_flags(next(iter(line.values())) for line in lines.values())
        views.append((p, view(heads, body, word_columns=2, flags=flags)))
    return views


def _with_control(row: dict) -> Cell:
    return Cell(percent(row["rate"]), f"{interval(row['low'], row['high'])}\ncontrol {percent(row['control_rate'])}")


def extraction_by_dose(tables: Tables) -> View:
    """Every dose, n and p."""
    columns = {
        "samples": text_of("extraction_n"),
        "p": lambda row: f"{row['extraction_p']:g}",
        "saw it": rate_cell,
        "did not": lambda row: rate_cell(row, "control_"),
    }
    return listing(by_dose(tables["extraction_probability"]), DOSED, columns)


def sampled_attacks(tables: Tables) -> View:
    """All doses: what samples really gave away, beside what the likelihoods say of as many."""
    columns = {
        "n": text_of("n"),
        "samples of each": text_of("samples"),
        "exactly": rate_cell,
        "computed": lambda row: Cell(percent(row["computed"]), interval(row["computed_low"], row["computed_high"])),
        "nearly": lambda row: rate_cell(row, "near_"),
        "exact samples": text_of("exact_samples"),
        "expected": lambda row: number(row["expected_samples"], 1),
        "p": p_of("p"),
    }
    return listing([row for row in tables["sampled_attacks"] if row["dose"] is None], ["policy", "cohort"], columns)


def reward_gap(tables: Tables) -> tuple[View, View]:
    """(all doses, by dose): the reward model's reward for a target that it saw, and for the same one unseen."""
    columns = {
        "n": text_of("n"),
        "saw it": number_of("mean", joint=" to "),
        "did not": number_of("control", joint=" to "),
        "difference": signed_of("difference"),
        "AUC": number_of("auc"),
    }
    rows = tables["reward_gap"]
    return listing([row for row in rows if row["dose"] is None], ["cohort"], columns), listing(
        by_dose(rows), ["cohort", "dose", "presentations"], columns
    )
