"""Accuracy of every reward model on held-out pairs, overall, by what was rejected, and where lengths match."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import files, reward_accuracy

with job(snakemake) as j:
    judged = reward_accuracy.read(j.input.judged, j.params.chains)
    rows = reward_accuracy.summarize(judged=judged, confidence=j.config["report.confidence"])
    files.write(rows=rows, schema=reward_accuracy.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
