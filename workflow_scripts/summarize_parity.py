"""How many greedy completions another batch size or numeric type changes."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.probing.schemas import PARITY
from workflow_scripts.core.results import auditing, tables

with job(snakemake) as j:
    found = [parquet.read_frame([path], PARITY) for path in j.input.completions]
    completions = dict(zip(j.params.policies, found, strict=True))
    rows = auditing.parity(completions=completions, confidence=j.config["report.confidence"])
    tables.write(rows=rows, kind="parity", parquet=j.output.parquet, table=j.output.csv)
