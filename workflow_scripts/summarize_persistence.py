"""Of what the reference policy memorized, the share that each later policy still does."""

import pandas as pd

from workflow_scripts.core import schemas
from workflow_scripts.core.job import job
from workflow_scripts.core.results import tables

with job(snakemake) as j:
    rows = tables.persistence(
        extraction=pd.concat([schemas.read_frame(path, "extraction") for path in j.input.extraction]),
        utility=schemas.read_rows(j.input.utility, "utility"),
        reference=j.config["report.reference"],
        later=j.params.later,
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="persistence", parquet=j.output.parquet, table=j.output.csv)
