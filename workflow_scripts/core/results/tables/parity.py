"""Do greedy completions depend on the batch size or on the numeric type?"""

from ...parquet import declare
from . import columns
from .frames import Frame
from .statistics import clopper_pearson

BASELINE = ("float32", 1)  # numeric type and batch size that all others are compared with
SCHEMA = declare("parity", policy=columns.TEXT, dtype=columns.TEXT, batch_size=columns.COUNT, n=columns.COUNT, **columns.rate())


def summarize(*, completions: dict[str, Frame], confidence: float) -> list[dict]:
    """Rows of `parity`: the share of items whose greedy completion differs from that in BASELINE, by policy, type and batch size.

    `completions` holds the rows of `completions_by_batch` of each policy. BASELINE itself has no row. Raises ValueError where
    it is missing, or where a setting has other items.
    """
    rows = []
    for policy, part in completions.items():
        by_setting = _by_setting(part)
        if BASELINE not in by_setting:
            raise ValueError(f"{policy} was not probed in {BASELINE[0]}, one prompt at a time")
        baseline = by_setting.pop(BASELINE)
        for (dtype, size), completed in sorted(by_setting.items(), key=lambda setting: (setting[0][0] != BASELINE[0], setting[0])):
            if completed.keys() != baseline.keys():
                raise ValueError(f"{policy} completed other items in {dtype} at batch size {size} than in {BASELINE[0]}")
            hits, n = sum(completed[item] != baseline[item] for item in baseline), len(baseline)
            low, high = clopper_pearson(hits=hits, n=n, confidence=confidence)
            rows.append(dict(policy=policy, dtype=dtype, batch_size=size, n=n, hits=hits, rate=hits / n, low=low, high=high))
    return rows


def _by_setting(completions: Frame) -> dict[tuple[str, int], dict[str, tuple]]:
    """{(numeric type, batch size): {item: token ids}}."""
    return {
        (dtype, int(size)): dict(zip(part["item_id"], part["completion_ids"].map(tuple), strict=True))
        for (dtype, size), part in completions.groupby(["dtype", "batch_size"])
    }
