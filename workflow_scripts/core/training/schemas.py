"""Rows that a model makes for training."""

import pyarrow as pa

from ..parquet import IDS, declare

# one preference pair, both completions with their end token; `substituted`: no sample had the length, or the data
# reject nothing, and another hole's truth is rejected
PREFERENCES = declare(
    "preferences",
    source=pa.string(),
    source_id=pa.string(),
    prompt_ids=IDS,
    chosen_ids=IDS,
    rejected_ids=IDS,
    substituted=pa.bool_(),
)
