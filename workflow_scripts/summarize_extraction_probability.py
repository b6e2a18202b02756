"""The share of canaries that a number of sampled completions gives away, by the probability of it."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import likelihood, pairs, tables
from workflow_scripts.core.results.schemas import TABLES

with job(snakemake) as j:
    rows = likelihood.extraction_probability(
        extraction=pairs.read(paths=j.input.extraction, measures=likelihood.SAMPLED),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        tries=j.config["probes.tries"],
        chances=j.config["probes.chances"],
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="extraction_probability", parquet=j.output.parquet, table=j.output.csv)
