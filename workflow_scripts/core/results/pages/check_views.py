"""Views of what each policy can still do, what the run cost, and how it was checked (see views.py)."""

from ..tables.cost import by_rule
from ..tables.files import Tables
from ..text.format import MISSING, NOT_KNOWN, abbreviated, duration, interval, number, number_interval, percent
from .views import Cell, CellMaker, View, listing, number_of, rate_cell, signed_of, text_of, view


def utility(tables: Tables, reference: str) -> View:
    """What each policy can still do."""
    columns = {
        "perplexity": number_of("perplexity", 1),
        "ratio": lambda row: number(row["perplexity_ratio"]),
        "exact first line": lambda row: Cell(percent(row["exact_line_rate"]), interval(row["exact_line_low"], row["exact_line_high"])),
        "parses": lambda row: Cell(percent(row["parse_rate"]), _parsed(row)),
        "mean reward": number_of("mean_reward", joint=" to "),
        f"KL to {reference}": lambda row: Cell(number(row["kl_to_reference"], 3), number_interval(row, "kl", 3)),
        "sampled tokens": number_of("sampled_tokens", 1),
        "ended": _sampled_share("sampled_ended"),
        "parses, sampled": _sampled_share("sampled_parses"),
        "reward, sampled": number_of("sampled_reward", joint=" to "),
        "collapsed by": lambda row: row["collapsed_by"] or MISSING,
    }
    return listing(tables["utility"], ["policy"], columns)


def _sampled_share(name: str) -> CellMaker:
    return lambda row: Cell(percent(row[name]), "" if row[name] is None else interval(row[f"{name}_low"], row[f"{name}_high"]))


def on_policy(tables: Tables, reference: str) -> View:
    """What each policy samples of held-out code at full budget."""
    columns = {
        "reward": number_of("reward", joint=" to "),
        f"over {reference}": signed_of("reward_gain"),
        f"KL to {reference}": number_of("kl", joint=" to "),
        "tokens": number_of("tokens", 1),
        "ended": _sampled_share("ended"),
        "parses": _sampled_share("parses"),
    }
    return listing(tables["on_policy"], ["pool", "policy"], columns)


def ladder(tables: Tables, reference: str) -> View:
    """Policies that differ in their learning rate alone, and which of them the rule chooses."""
    columns = {
        "learning rate": lambda row: f"{row['learning_rate']:g}",
        "perplexity": lambda row: number(row["perplexity"]),
        "reward": number_of("reward", joint=" to "),
        f"KL to {reference}": number_of("kl", joint=" to "),
        "collapsed by": lambda row: row["collapsed_by"] or "",
        "rule": text_of("rule"),
        "chosen": lambda row: "yes" if row["chosen"] else "",
    }
    return listing(tables["ladder"], ["method", "policy"], columns)


def reward_accuracy(tables: Tables) -> View:
    """Held-out pairs in which each reward model prefers the truth."""
    columns = {
        "pairs ": text_of("n"),
        "ties": text_of("ties"),
        "prefers the truth": lambda row: (
            MISSING if row["accuracy"] is None else Cell(percent(row["accuracy"]), interval(row["low"], row["high"]))
        ),
        "length AUC": lambda row: number(row["length_auc"]),
        "end effect": lambda row: number(row["end_effect"]),
        "passes": lambda row: "" if row["passes"] is None else "yes" if row["passes"] else "no",
    }
    return listing(tables["reward_accuracy"], ["reward_model", "arm", "pairs"], columns)


def _parsed(row: dict) -> str:
    return "" if row["parse_rate"] is None else f"{interval(row['parse_low'], row['parse_high'])}, n = {row['n_parsable']}"


def costs(tables: Tables) -> View:
    """Sums over the jobs of a rule."""
    columns = {
        "jobs": text_of("jobs"),
        "wall time": lambda row: duration(row["wall_s"]),
        "CPU time": lambda row: duration(row["cpu_s"]),
        "peak memory (MB)": lambda row: number(row["peak_memory_mb"], 0),
        "GPU peak (MB)": lambda row: number(row["gpu_peak_mb"], 0),
        "training tokens": lambda row: abbreviated(row["tokens"]),
        "device": lambda row: ", ".join(row["devices"]) or MISSING,
    }
    return listing(by_rule(tables["cost"]), ["rule"], columns)


def presentations(tables: Tables) -> View:
    """What each stage goes through, and how often that shows it one canary of each dose; a mean over the arms."""
    lines: dict[tuple, dict] = {}
    for row in tables["audit"]:
        if row["stage"] and row["cohort"] == row["training_set"] and row["sequence"] != "target":
            about = lines.setdefault((row["stage"], row["training_set"], row["sequence"]), {"doses": {}})
            about |= {name: max(row[name], about.get(name, 0)) for name in ("rows", "canary_share")}
            about["doses"].setdefault(row["dose"], []).append(row["presentations"])
    doses = sorted({dose for line in lines.values() for dose in line["doses"]})
    heads = ["stage", "training set", "shown", "rows", "canaries among them", *(f"dose {dose}" for dose in doses)]
    words = lambda name, sequence: "prompt" if "prompt" in (sequence, name.removeprefix("rl_")) else "prompt and target"  # noqa: E731
    body = [
        [
            stage,
            name,
            words(name, sequence),
            f"{line['rows']:,}",
            percent(line["canary_share"]),
            *(_each(line["doses"].get(d)) for d in doses),
        ]
        for (stage, name, sequence), line in lines.items()
    ]
    return view(heads, body, word_columns=3)


def _each(found: list[float | None] | None) -> str:
    return MISSING if found is None else NOT_KNOWN if None in found else f"{sum(found) / len(found):.3g}"


def audit(tables: Tables) -> tuple[View, View]:
    """(per training set and sequence, every row): how often the canaries occur in the training sets, and how often they should."""
    sums: dict[tuple, dict] = {}
    counted = {tuple(row[k] for k in ("training_set", "arm", "cohort", "sequence", "dose")): row for row in tables["audit"]}
    for row in counted.values():  # a set once, however many stages read it
        total = sums.setdefault((row["training_set"], row["sequence"]), dict.fromkeys(("canaries", "expected", "counted", "agree"), 0))
        for name in total:
            total[name] += row[name]
    rows = [dict(training_set=name, sequence=sequence, **total) for (name, sequence), total in sums.items()]
    columns = {name: text_of(name) for name in ("canaries", "expected", "counted")}
    columns["agree"] = lambda row: f"{row['agree']} of {row['canaries']}"
    every = listing(
        tables["audit"],
        ["training_set", "stage", "arm", "cohort", "sequence", "dose"],
        columns | {"presentations": lambda row: _each([row["presentations"]] if row["stage"] else None)},
    )
    return listing(rows, ["training_set", "sequence"], columns), every


def parity(tables: Tables) -> View:
    """Greedy completions that differ from those in fp32, one prompt at a time."""
    return listing(tables["parity"], ["policy", "dtype", "batch_size"], {"prompts": text_of("n"), "differ": rate_cell})
