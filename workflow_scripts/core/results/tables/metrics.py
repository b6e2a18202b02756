"""Single numbers of a run, for tools that compare runs (`dvc metrics diff`)."""

from .memorization import overall

_UTILITY = ("perplexity", "exact_line_rate", "parse_rate", "mean_reward", "kl_to_reference")


def metrics(*, memorization: list[dict], utility: list[dict]) -> dict:
    """{policy: {memorized: counterfactual rate by cohort, and its utility}}."""
    rates = {row["policy"]: {} for row in utility}
    for row in overall(memorization):
        rates[row["policy"]][row["cohort"]] = row["counterfactual_rate"]
    return {row["policy"]: {"memorized": rates[row["policy"]], **{name: row[name] for name in _UTILITY}} for row in utility}
