"""Groups of columns that the schemas of several tables share.

`collapsed` in a row says that the policy's utility collapsed: pages and figures grey out its leak rates.
"""

import pyarrow as pa

from ...parquet import optional

MATCHED = "matched"  # of held-out pairs those of equal length, which the gate looks at (reward_accuracy)
TEXT, COUNT, BIG_COUNT, NUMBER, FLAG = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
DOSE = optional(COUNT)  # null: all doses together
PRESENTATIONS = optional(NUMBER)  # of one canary, ancestors' included; null: not known (presentations.py)
CELL = dict(policy=TEXT, cohort=TEXT, dose=DOSE, presentations=PRESENTATIONS)


def rate(prefix: str = "") -> dict:
    """A count with its rate and interval."""
    return {f"{prefix}hits": COUNT} | {f"{prefix}{name}": NUMBER for name in ("rate", "low", "high")}


def optional_rate(prefix: str) -> dict:
    """A count with its rate and interval of n units, all missing where n is 0."""
    return {f"{prefix}n": COUNT, f"{prefix}hits": optional(COUNT)} | {
        f"{prefix}{name}": optional(NUMBER) for name in ("rate", "low", "high")
    }


def mean(name: str, type_=NUMBER) -> dict:
    """A mean with its interval."""
    return {name: type_, f"{name}_low": type_, f"{name}_high": type_}


def arm_means(prefix: str = "") -> dict:
    """Means of the assigned arm, of the other arm, and paired, each with its interval."""
    return mean(f"{prefix}mean") | mean(f"{prefix}control") | mean(f"{prefix}difference")


ARM_MEANS = arm_means()
