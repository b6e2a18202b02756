"""By how many bits each target outranks fillings of the same canary that were never planted."""

import pandas as pd

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.probing.kinds import EXTRACTION
from workflow_scripts.core.results import likelihood, tables
from workflow_scripts.core.results.kinds import TABLES

with job(snakemake) as j:
    rows = likelihood.exposure(
        extraction=pd.concat([parquet.read_frame(path, EXTRACTION) for path in j.input.extraction]),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="exposure", parquet=j.output.parquet, table=j.output.csv)
