"""Views of what each policy can still do, what the run cost, and how it was checked (see views.py)."""

from ..tables.cost import by_rule
from ..tables.files import Tables
from ..text.format import MISSING, abbreviated, duration, interval, number, number_interval, percent
from .views import Cell, View, listing, number_of, rate_cell, text_of


def utility(tables: Tables, reference: str) -> View:
    """What each policy can still do."""
    columns = {
        "perplexity": number_of("perplexity", 1),
        "ratio": lambda row: number(row["perplexity_ratio"]),
        "exact first line": lambda row: Cell(percent(row["exact_line_rate"]), interval(row["exact_line_low"], row["exact_line_high"])),
        "parses": lambda row: Cell(percent(row["parse_rate"]), _parsed(row)),
        "mean reward": number_of("mean_reward", joint=" to "),
        f"KL to {reference}": lambda row: Cell(number(row["kl_to_reference"], 3), number_interval(row, "kl", 3)),
    }
    return listing(tables["utility"], ["policy"], columns)


def on_policy(tables: Tables, reference: str) -> View:
    """What each policy samples of held-out code at full budget."""
    columns = {
        "reward": number_of("reward", joint=" to "),
        f"KL to {reference}": number_of("kl", joint=" to "),
        "tokens": number_of("tokens", 1),
        "ended": lambda row: Cell(percent(row["ended"]), interval(row["ended_low"], row["ended_high"])),
        "parses": lambda row: (
            MISSING if row["parses"] is None else Cell(percent(row["parses"]), interval(row["parses_low"], row["parses_high"]))
        ),
    }
    return listing(tables["on_policy"], ["pool", "policy"], columns)


def ladder(tables: Tables, reference: str) -> View:
    """Policies that differ in their learning rate alone, and which of them the rule chooses."""
    columns = {
        "learning rate": lambda row: f"{row['learning_rate']:g}",
        "perplexity": lambda row: number(row["perplexity"]),
        "reward": number_of("reward", joint=" to "),
        f"KL to {reference}": number_of("kl", joint=" to "),
        "rule": text_of("rule"),
        "chosen": lambda row: "yes" if row["chosen"] else "",
    }
    return listing(tables["ladder"], ["method", "policy"], columns)


def reward_accuracy(tables: Tables) -> View:
    """Held-out pairs in which each reward model prefers the truth."""
    columns = {
        "pairs ": text_of("n"),
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


def audit(tables: Tables) -> tuple[View, View]:
    """(per training set and sequence, every row): how often the canaries occur in the training sets, and how often they should."""
    sums: dict[tuple, dict] = {}
    for row in tables["audit"]:
        total = sums.setdefault((row["training_set"], row["sequence"]), dict.fromkeys(("canaries", "expected", "counted", "agree"), 0))
        for name in total:
            total[name] += row[name]
    rows = [dict(training_set=name, sequence=sequence, **total) for (name, sequence), total in sums.items()]
    columns = {name: text_of(name) for name in ("canaries", "expected", "counted")}
    columns["agree"] = lambda row: f"{row['agree']} of {row['canaries']}"
    every = listing(tables["audit"], ["training_set", "arm", "cohort", "sequence", "dose"], columns)
    return listing(rows, ["training_set", "sequence"], columns), every


def parity(tables: Tables) -> View:
    """Greedy completions that differ from those in fp32, one prompt at a time."""
    return listing(tables["parity"], ["policy", "dtype", "batch_size"], {"prompts": text_of("n"), "differ": rate_cell})
