"""The reward model's own memory: its reward for a target that its chain was trained on, and for the same target unseen."""

from ...parquet import declare
from . import columns, presentations
from .auc import auc_columns
from .canary_pairs import arm_means, by_cohort, by_dose, pair_arms, seed_means
from .frames import Frame
from .presentations import Shown

COLUMNS = ["reward"]
SCHEMA = declare(
    "reward_gap",
    cohort=columns.TEXT,
    dose=columns.DOSE,
    presentations=columns.PRESENTATIONS,
    n=columns.COUNT,
    **columns.ARM_MEANS,
    **columns.mean("auc"),
)


def summarize(*, extraction: Frame, shown: Shown, reward_model: str, confidence: float) -> list[dict]:
    """Rows of `reward_gap`: cohort x dose (None: all), the reward by the arm that planted the canary and by the other.

    Both give it to the same text, so the rows of any one policy will do.
    """
    pairs = pair_arms(extraction=extraction, measures=COLUMNS)
    rows = []
    for cohort, of_cohort in by_cohort(pairs):
        for dose, cell in by_dose(of_cohort):
            members, control = seed_means(cell, "reward", "control_reward").T
            each = presentations.mean(shown, reward_model, cohort, cell["dose"])
            row = dict(cohort=cohort, dose=dose, presentations=each, n=len(cell))
            row |= arm_means(pairs=cell, measure="reward", confidence=confidence)
            rows.append(row | auc_columns(members=members, nonmembers=control, paired=True, confidence=confidence))
    return rows
