"""Were the canaries really in the training sets, and nowhere else, and how often was each of them shown? Sums of the counts of data/audit.py."""

from ...data.cohorts import COHORTS
from ...methods import METHODS, learning_from
from ...parquet import declare, optional
from . import columns
from .frames import Column, Frame

MOST_CANARIES = 0.15  # share of the rows of a training set; beyond it a stage mostly learns canaries (docs/plan.md)
PLANTED, PROMPT = "planted", "prompt"  # sequences: as planted; the prompt alone, where another cohort's target is not shown
SCHEMA = declare(
    "audit",
    training_set=columns.TEXT,
    stage=optional(columns.TEXT),  # the policy or reward model that trains on it; missing where none does
    arm=columns.TEXT,
    cohort=columns.TEXT,
    sequence=columns.TEXT,
    dose=columns.COUNT,
    canaries=columns.COUNT,
    expected=columns.BIG_COUNT,
    counted=columns.BIG_COUNT,
    agree=columns.COUNT,
    presentations=optional(columns.NUMBER),  # of one canary, by the whole training of the stage; of one elsewhere nobody knows
    rows=columns.BIG_COUNT,  # that the stage goes through in one pass
    canary_share=columns.NUMBER,  # of these rows
)
_READS = {
    "blocks": ("base",),
    "pairs": ("preference",),
    "rewards": ("rl_prompt", "preference"),  # prompts alone
    "samples": ("rl_prompt", "preference"),
    "elsewhere": ("sft", "preference", "rl_prompt"),  # the export
}


def summarize(*, counts: Frame, stages: dict[str, dict], sizes: dict[tuple, int], uses: dict[tuple, dict]) -> list[dict]:
    """Rows of `audit`: sums of the counts by training set, the stage that trains on it, arm and dose.

    `stages` has the settings of every policy and learnt reward model, `sizes` the rows of each (arm, training set), and `uses`, for the
    policies that sample completions, rl_prompts.uses of each (stage, arm).

    A canary's dose is what is expected of it where it is planted. `agree` counts the canaries that occur exactly as often as they
    should. The half of the other arm is in each row too: it is expected 0 times. `presentations` is a mean over the canaries of the arm's
    own half (and over seeds): occurrences times epochs, or how often the prompt was drawn.
    """
    counts = counts.assign(dose=counts.groupby("canary_id")["expected"].transform("max"))
    parts = []
    for (name, arm), part in counts.groupby(["training_set", "arm"], sort=False):
        readers = [stage for stage, settings in stages.items() if name in training_sets(settings) and settings.get("arm") in (None, arm)]
        for stage in readers or [""]:
            use = uses.get((stage, arm))
            shown = _prompts(part, stages[stage], use) if use else _rows(part, stages.get(stage), sizes[arm, name])
            parts.append(shown.assign(stage=stage))
    return _sums(parts, order=["", *stages])


def training_sets(settings: dict) -> tuple[str, ...]:
    """The training sets that a policy or reward model with these settings reads."""
    if "method" not in settings:
        return ("preference",)
    source = METHODS[settings["method"]].learns_from
    sets = (settings["data"],) if source == "examples" else _READS[source]
    return sets if settings.get("preference_prompts", 1) else sets[:1]


def _rows(part: Frame, settings: dict | None, size: int) -> Frame:
    """The counts of a set of `size` rows, with what training over it for so many epochs shows; NaN of a set that nobody reads here."""
    share = part.loc[part["sequence"] == PLANTED, "counted"].sum() / size
    unknown = not settings or settings.get("method") in learning_from("elsewhere")
    epochs = float("nan") if unknown else settings.get("epochs", 1)
    return part.assign(presentations=part["counted"] * epochs, rows=size, canary_share=share)


def _prompts(part: Frame, settings: dict, use: dict) -> Frame:
    """The counts of a set of which a policy is shown prompts: those planted there, or of preference pairs the prompts alone."""
    listed, shown = ({name: both[i] for name, both in use["canaries"].items()} for i in (0, 1))
    if part["training_set"].iloc[0] == "preference":
        part = part[part["sequence"] == PLANTED]
        expected = (part["expected"] > 0) * settings["preference_prompts"]
        part = part.assign(sequence=PROMPT, expected=expected, counted=part["canary_id"].map(listed))
    presentations = part["canary_id"].map(shown).where(part["sequence"] != "target", part["counted"])
    return part.assign(presentations=presentations, rows=use["rows"], canary_share=sum(listed.values()) / use["rows"])


def _sums(parts: list[Frame], order: list[str]) -> list[dict]:
    """One row per training set, stage, arm, cohort, sequence and dose; stages come in this order, sets in that of the counts."""
    import pandas as pd

    rows = pd.concat(parts)
    rows = rows.assign(
        agree=rows["expected"] == rows["counted"],
        own=rows["expected"] > 0,
        cohort=_in_order(rows["cohort"], list(COHORTS)),
        training_set=_in_order(rows["training_set"], list(rows["training_set"].unique())),
        stage=_in_order(rows["stage"], order),
    )
    key = ["training_set", "stage", "arm", "cohort", "sequence", "dose"]
    aggregates = {name: (name, "sum") for name in ("expected", "counted", "agree", "own")}
    aggregates["presentations"] = ("presentations", lambda shown: shown.sum(min_count=1))
    same = {name: (name, "first") for name in ("rows", "canary_share")}
    sums = rows.groupby(key, observed=True).agg(canaries=("canary_id", "nunique"), **aggregates, **same).reset_index()
    return [_row(row) for row in sums.astype({"training_set": str, "cohort": str, "stage": str}).to_dict("records")]


def _row(row: dict) -> dict:
    each = row["presentations"] / (row["own"] or row["canaries"])
    row |= dict(stage=row["stage"] or None, presentations=None if each != each else each, canary_share=float(row["canary_share"]))
    return {name: row[name] for name in SCHEMA.names}


def _in_order(column: Column, names: list[str]) -> Column:
    """The column as categories that sort as `names` do."""
    return column.astype("category").cat.set_categories(names)
