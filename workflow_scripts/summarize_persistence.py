"""Of what the reference policy memorized, the share that each later policy still does."""

import pandas as pd

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.probing.kinds import EXTRACTION
from workflow_scripts.core.results import tables
from workflow_scripts.core.results.kinds import TABLES

with job(snakemake) as j:
    rows = tables.persistence(
        extraction=pd.concat([parquet.read_frame(path, EXTRACTION) for path in j.input.extraction]),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        reference=j.config["report.reference"],
        later=j.params.later,
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="persistence", parquet=j.output.parquet, table=j.output.csv)
