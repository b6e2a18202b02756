"""What the reward model gives to a target that its chain was trained on, and to the same target unseen."""

import pandas as pd

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.probing.kinds import EXTRACTION
from workflow_scripts.core.results import membership, tables

with job(snakemake) as j:
    rows = membership.reward_gap(
        extraction=pd.concat([parquet.read_frame(path, EXTRACTION) for path in j.input.extraction]),
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="reward_gap", parquet=j.output.parquet, table=j.output.csv)
