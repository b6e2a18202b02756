"""Rows that a model makes for training."""

import pyarrow as pa

from ..parquet import IDS, declare

# one preference pair; completions include their end token where they have one
PREFERENCES = declare("preferences", source=pa.string(), source_id=pa.string(), prompt_ids=IDS, chosen_ids=IDS, rejected_ids=IDS)
