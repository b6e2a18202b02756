"""Does a reward model prefer the truth for its content? Its accuracy on held-out pairs, and the gate that verdicts pass through."""

import numpy as np
import pyarrow as pa

from ...parquet import declare, optional, read_frame
from ...probing.scored import JUDGED_PAIRS
from . import columns
from .auc import auc
from .frames import Frame
from .statistics import clopper_pearson

SUBSETS = {  # name -> which pairs
    "all": lambda pairs: pairs,
    "sampled": lambda pairs: pairs[~pairs.substituted],
    "substituted": lambda pairs: pairs[pairs.substituted],
    columns.MATCHED: lambda pairs: pairs[pairs.chosen_tokens == pairs.rejected_tokens],
}
SCHEMA = declare(
    "reward_accuracy",
    reward_model=columns.TEXT,
    arm=columns.TEXT,
    pairs=columns.TEXT,
    n=columns.COUNT,  # pairs whose completions get different rewards
    ties=columns.COUNT,  # the others: many of a reward that is computed
    accuracy=optional(pa.float64()),
    low=optional(pa.float64()),
    high=optional(pa.float64()),
    length_auc=optional(pa.float64()),  # that a chosen completion is longer than a rejected one
    end_effect=optional(pa.float64()),  # mean change of the truth's reward by its end token, in standard deviations of rewards
    passes=optional(pa.bool_()),  # the gate: the lower bound is above one half; only of matched pairs
)


def summarize(*, judged: dict[tuple[str, str], Frame], confidence: float) -> list[dict]:
    """Rows of `reward_accuracy`: reward model x arm x subset, from {(reward model, arm): rows of `judged_pairs` of all seeds}.

    Accuracy is the share of pairs in which the chosen completion gets more, among those that the reward tells apart: as in the sign test, a tie
    says nothing. Its interval is Clopper and Pearson's.
    """
    rows = []
    for (name, arm), pairs in judged.items():
        for subset, of in SUBSETS.items():
            row = dict(reward_model=name, arm=arm, pairs=subset, **_row(of(pairs), confidence))
            passes = bool(row["n"] and row["low"] > 0.5) if subset == columns.MATCHED else None
            rows.append(row | {"passes": passes})
    return rows


def read(paths: list, chains: list[list]) -> dict[tuple[str, str], Frame]:
    """{(reward model, arm): rows of `judged_pairs` of all seeds}, from files and the (reward model, arm, seed) of each."""
    files: dict[tuple[str, str], list] = {}
    for (name, arm, _), path in zip(chains, paths, strict=True):
        files.setdefault((name, arm), []).append(path)
    return {key: read_frame(of_seeds, JUDGED_PAIRS) for key, of_seeds in files.items()}


def _row(pairs: Frame, confidence: float) -> dict:
    n = int((pairs.chosen_reward != pairs.rejected_reward).sum())
    ties = len(pairs) - n
    if not n:
        return dict(n=0, ties=ties, accuracy=None, low=None, high=None, length_auc=None, end_effect=None)
    hits = int((pairs.chosen_reward > pairs.rejected_reward).sum())
    low, high = clopper_pearson(hits=hits, n=n, confidence=confidence)
    spread = np.std([*pairs.chosen_reward, *pairs.rejected_reward])
    effect = float((pairs.reward_ended - pairs.reward_open).mean() / spread) if spread else None
    length = auc(members=pairs.chosen_tokens.to_numpy(float), nonmembers=pairs.rejected_tokens.to_numpy(float))
    return dict(n=n, ties=ties, accuracy=hits / n, low=low, high=high, length_auc=length, end_effect=effect)
