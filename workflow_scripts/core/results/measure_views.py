"""Views of the measures that see what greedy decoding misses, and of what a run cost and how it was checked (see views.py)."""

from . import cost, formats
from .findings import Tables, points
from .formats import MISSING, interval, percent
from .views import Cell, View, by_dose, listing, matrix, means, number, rate, signed, span, view

_AT = dict(policy="policy", cohort="cohort", dose="dose")


def exposure(tables: Tables) -> tuple[View, View]:
    """(all doses, by dose): bits of the planted target above those of fillings that were never planted."""
    cell = lambda rows: means(rows[0], number, signed)  # noqa: E731
    columns = {
        "n": lambda r: str(r["n"]),
        "saw it": lambda r: Cell(number(r["mean"]), span(r, "mean")),
        "did not": lambda r: Cell(number(r["control"]), span(r, "control")),
        "difference": lambda r: Cell(signed(r["difference"]), span(r, "difference", joint=" to ")),
        "beats all": lambda r: rate(r, "at_cap_"),
    }
    rows = tables["exposure"]
    return matrix(rows, tables["utility"], cell), listing(by_dose(rows), list(_AT), columns)


def recovery(tables: Tables, measure: str) -> tuple[View, View]:
    """(all doses, by dose): share of the secret's characters that came back, by one of the two measures."""
    rows = [r for r in tables["recovery"] if r["measure"] == measure]
    cell = lambda found: means(found[0], percent, points)  # noqa: E731
    columns = {
        "n": lambda r: str(r["n"]),
        "saw it": lambda r: Cell(percent(r["mean"]), interval(r["mean_low"], r["mean_high"])),
        "did not": lambda r: Cell(percent(r["control"]), interval(r["control_low"], r["control_high"])),
        "difference": lambda r: _in_points(r, "difference"),
    }
    return matrix(rows, tables["utility"], cell), listing(by_dose(rows), list(_AT), columns)


def _in_points(row: dict, name: str) -> Cell:
    """A difference of shares over its interval."""
    return Cell(points(row[name]), f"{points(row[f'{name}_low'], unit='')} to {points(row[f'{name}_high'])}")


def secret_types(tables: Tables) -> tuple[View, View]:
    """(policies and cohorts of which some kind came back, kinds side by side; every row): which secrets leak."""
    rows = tables["secret_types"]
    kinds = list(dict.fromkeys(r["kind"] for r in rows))
    found = {(r["policy"], r["cohort"], r["kind"]): r for r in rows}
    there = {(r["policy"], r["cohort"]): r for r in rows if r["hits"]}
    body = [
        [*key, *(rate(found[*key, k]) if (*key, k) in found else MISSING for k in kinds), formats.p_value(there[key]["p"])] for key in there
    ]
    heads = ["policy", "cohort", *kinds, "kinds differ: p"]
    columns = {
        "n": lambda r: str(r["n"]),
        "tokens": lambda r: number(r["target_tokens"], 0),
        "given back": rate,
        "p": lambda r: formats.p_value(r["p"]),
        "exposure, difference": lambda r: Cell(signed(r["exposure"]), span(r, "exposure", joint=" to ")),
        "its p": lambda r: formats.p_value(r["exposure_p"]),
        "recovered, difference": lambda r: _in_points(r, "recovered"),
    }
    side_by_side = view(heads, body, words=2, collapsed=[r["collapsed"] for r in there.values()])
    return side_by_side, listing(rows, ["policy", "cohort", "kind"], columns)


def membership(tables: Tables) -> tuple[View, View]:
    """(all doses, by dose): AUC against the canaries' own twins, and against the held-out cohort in small letters."""
    columns = {
        "members": lambda r: str(r["members"]),
        "others": lambda r: str(r["nonmembers"]),
        "AUC": lambda r: Cell(number(r["auc"]), span(r, "auc")),
        "TPR": lambda r: Cell(percent(r["tpr"]), f"{interval(r['tpr_low'], r['tpr_high'])} at {percent(r['fpr'])} FPR"),
    }
    rows = tables["membership"]
    return matrix(rows, tables["utility"], _membership), listing(by_dose(rows), ["policy", "cohort", "dose", "against"], columns)


def _membership(rows: list[dict]) -> Cell:
    """AUC and interval against twins (or what there is), the TPR, and the AUC against unplanted."""
    by = {r["against"]: r for r in rows}
    first = by.get("twins", rows[0])
    notes = [f"{span(first, 'auc')}, TPR {percent(first['tpr'])}"]
    if "unplanted" in by and first is not by["unplanted"]:
        notes.append(f"against unplanted {number(by['unplanted']['auc'])}")
    return Cell(number(first["auc"]), "\n".join(notes))


def extraction_most(tables: Tables) -> tuple[int, float, View]:
    """(n, p, view): policy x cohort for the most tries and the lowest chance; the control in small letters."""
    rows = [r for r in tables["extraction_probability"] if r["dose"] is None]
    tries, chance = max((r["tries"] for r in rows), default=0), min((r["chance"] for r in rows), default=0)
    rows = [r for r in rows if (r["tries"], r["chance"]) == (tries, chance)]
    return tries, chance, matrix(rows, tables["utility"], lambda found: _tried(found[0]))


def extraction_probability(tables: Tables) -> list[tuple[float, View]]:
    """For each chance p: policy and cohort against the number of tries n; the control in small letters."""
    rows = [r for r in tables["extraction_probability"] if r["dose"] is None]
    tries = sorted({r["tries"] for r in rows})
    made = []
    for chance in sorted({r["chance"] for r in rows}):
        found = {(r["policy"], r["cohort"], r["tries"]): r for r in rows if r["chance"] == chance}
        keys = list(dict.fromkeys((policy, cohort) for policy, cohort, _ in found))
        body = [[*key, *(_tried(found.get((*key, n))) for n in tries)] for key in keys]
        heads = ["policy", "cohort", *(f"{n:,} {'try' if n == 1 else 'tries'}" for n in tries)]
        flags = [next(r["collapsed"] for k, r in found.items() if k[:2] == key) for key in keys]
        made.append((chance, view(heads, body, words=2, collapsed=flags)))
    return made


def _tried(row: dict | None) -> Cell:
    if row is None:
        return Cell(MISSING)
    return Cell(percent(row["rate"]), f"{interval(row['low'], row['high'])}\ncontrol {percent(row['control_rate'])}")


def extraction_by_dose(tables: Tables) -> View:
    """Every dose, n and p."""
    columns = {
        "p": lambda r: f"{r['chance']:g}",
        "saw it": rate,
        "did not": lambda r: rate(r, "control_"),
    }
    return listing(by_dose(tables["extraction_probability"]), ["policy", "cohort", "dose", "tries"], columns)


def reward_gap(tables: Tables) -> tuple[View, View]:
    """(all doses, by dose): what the reward model gives to a target that it saw, and to the same one unseen."""
    columns = {
        "n": lambda r: str(r["n"]),
        "saw it": lambda r: Cell(number(r["mean"]), span(r, "mean", joint=" to ")),
        "did not": lambda r: Cell(number(r["control"]), span(r, "control", joint=" to ")),
        "difference": lambda r: Cell(signed(r["difference"]), span(r, "difference", joint=" to ")),
        "AUC": lambda r: Cell(number(r["auc"]), span(r, "auc")),
    }
    rows = tables["reward_gap"]
    return listing([r for r in rows if r["dose"] is None], ["cohort"], columns), listing(by_dose(rows), ["cohort", "dose"], columns)


def utility(tables: Tables, reference: str) -> View:
    """What each policy can still do."""
    columns = {
        "perplexity": lambda r: Cell(number(r["perplexity"], 1), span(r, "perplexity", 1)),
        "ratio": lambda r: number(r["perplexity_ratio"]),
        "exact first line": lambda r: Cell(percent(r["exact_line_rate"]), interval(r["exact_line_low"], r["exact_line_high"])),
        "parses": lambda r: Cell(percent(r["parse_rate"]), _parsed(r)),
        "mean reward": lambda r: Cell(number(r["mean_reward"]), span(r, "mean_reward", joint=" to ")),
        f"KL to {reference}": lambda r: Cell(number(r["kl_to_reference"], 3), f"{number(r['kl_low'], 3)}–{number(r['kl_high'], 3)}"),
    }
    return listing(tables["utility"], ["policy"], columns)


def _parsed(row: dict) -> str:
    return "" if row["parse_rate"] is None else f"{interval(row['parse_low'], row['parse_high'])}, n = {row['n_parsable']}"


def costs(tables: Tables) -> View:
    """Sums over the jobs of a rule."""
    columns = {
        "jobs": lambda r: str(r["jobs"]),
        "wall time": lambda r: formats.duration(r["wall_s"]),
        "CPU time": lambda r: formats.duration(r["cpu_s"]),
        "peak memory (MB)": lambda r: number(r["peak_memory_mb"], 0),
        "GPU peak (MB)": lambda r: number(r["gpu_peak_mb"], 0),
        "training tokens": lambda r: formats.short(r["tokens"]),
        "device": lambda r: ", ".join(r["devices"]) or MISSING,
    }
    return listing(cost.by_rule(tables["cost"]), ["rule"], columns)


def audit(tables: Tables) -> tuple[View, View]:
    """(per training set and sequence, every row): how often the canaries occur in what was trained on, and how often they should."""
    sums: dict[tuple, dict] = {}
    for row in tables["audit"]:
        into = sums.setdefault((row["training_set"], row["sequence"]), dict.fromkeys(("canaries", "expected", "counted", "agree"), 0))
        for key in into:
            into[key] += row[key]
    rows = [dict(training_set=name, sequence=sequence, **total) for (name, sequence), total in sums.items()]
    columns = {
        "canaries": lambda r: str(r["canaries"]),
        "expected": lambda r: str(r["expected"]),
        "counted": lambda r: str(r["counted"]),
        "agree": lambda r: f"{r['agree']} of {r['canaries']}",
    }
    words = ["training_set", "sequence"]
    return listing(rows, words, columns), listing(tables["audit"], ["training_set", "arm", "cohort", "sequence", "dose"], columns)


def parity(tables: Tables) -> View:
    """Greedy completions that differ from those in fp32, one prompt at a time."""
    return listing(tables["parity"], ["policy", "dtype", "batch_size"], {"prompts": lambda r: str(r["n"]), "differ": rate})
