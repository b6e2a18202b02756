"""How many greedy completions another batch size or numeric type changes."""

from workflow_scripts.core.job import job
from workflow_scripts.core.parquet import read_frame
from workflow_scripts.core.probing.scored import PARITY
from workflow_scripts.core.results.tables import files, parity

with job(snakemake) as j:
    completions = {policy: read_frame([path], PARITY) for policy, path in zip(j.params.policies, j.input.completions, strict=True)}
    rows = parity.summarize(completions=completions, confidence=j.config["report.confidence"])
    files.write(rows=rows, schema=parity.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
