"""Two policies on the same canaries: paired differences, tests held to each other, and what this many canaries can show."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import contrasts, pairs, tables
from workflow_scripts.core.results.schemas import TABLES

with job(snakemake) as j:
    utility = parquet.read_rows(j.input.utility, TABLES["utility"])
    policies, chosen = [row["policy"] for row in utility], j.config["report.contrasts"]
    if chosen is None:
        chosen = contrasts.default_pairs(policies=policies, reference=j.config["report.reference"], later=j.params.later)
    rows = contrasts.contrast(
        extraction=pairs.read(paths=j.input.extraction, measures=contrasts.READ),
        utility=utility,
        contrasts=chosen,
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="contrast", parquet=j.output.parquet, table=j.output.csv)
