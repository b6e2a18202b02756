"""The share of canaries that a number of sampled completions gives away, by the probability of it."""

import pandas as pd

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.probing.kinds import EXTRACTION
from workflow_scripts.core.results import likelihood, tables
from workflow_scripts.core.results.kinds import TABLES

with job(snakemake) as j:
    rows = likelihood.extraction_probability(
        extraction=pd.concat([parquet.read_frame(path, EXTRACTION) for path in j.input.extraction]),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        tries=j.config["probes.tries"],
        chances=j.config["probes.chances"],
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="extraction_probability", parquet=j.output.parquet, table=j.output.csv)
