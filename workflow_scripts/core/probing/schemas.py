"""Rows of the probes. `extraction` is the product: tables and figures are aggregates of its rows.

The measures are in measures/: each file there adds its columns to the rows of its roles. Rows without measures: scored.py.
"""

import pyarrow as pa

from ..parquet import IDS, declare, optional
from .measures import columns
from .scored import REWARDS

_policy = dict(policy=pa.string(), arm=pa.string(), seed=pa.int32())
_canary = dict(canary_id=pa.string(), probe=pa.string())  # probe: the prompt condition (prompts.py)
# of samples (attacks.py) those that are the target or nearly; missing but for planted canaries as planted, in the arm that saw them
ATTACKS = {"sampled_exact": optional(pa.int32()), "sampled_near": optional(pa.int32())}
_design = dict(secret_type=pa.string(), cohort=pa.string(), dose=pa.int32(), half=pa.int32())

# a canary and a held-out example as one policy completed them, and what was measured
PROBED_CANARIES = declare("probed_canaries", **_canary, target_ids=IDS, completion_ids=IDS, **columns("canary"), **ATTACKS)
PROBED_EXAMPLES = declare("probed_examples", example_id=pa.string(), target_ids=IDS, completion_ids=IDS, **columns("evaluation"))
OF_CHAIN = (PROBED_CANARIES, PROBED_EXAMPLES, REWARDS)  # made per policy, arm and seed
# one row per policy x arm x seed x canary x probe; rewards are those of the canary as planted (probe `fim`)
EXTRACTION = declare(
    "extraction",
    **_policy,
    **_canary,
    **_design,
    seen=pa.bool_(),
    target_ids=IDS,
    completion_ids=IDS,
    **columns("canary"),
    **ATTACKS,
    memorized=pa.bool_(),
    reward=optional(pa.float64()),
)
# one row per policy x arm x seed x held-out example
EVALUATION = declare(
    "evaluation",
    **_policy,
    example_id=pa.string(),
    **columns("evaluation"),
    reward=pa.float64(),
    completion_reward=pa.float64(),
)
