"""What comes back: policy x cohort x dose, with controls and counterfactuals, and the headline table."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, memorization, presentations, utility
from workflow_scripts.core.results.tables.metrics import metrics
from workflow_scripts.core.results.text.headline import headline

with job(snakemake) as j:
    extraction, used = canary_pairs.read(j.input.extraction, memorization.COLUMNS), files.read(j.input.utility, utility.SCHEMA)
    shown = presentations.read(j.input.audit, j.params.lineages)
    rows = memorization.summarize(extraction=extraction, utility=used, shown=shown, confidence=j.config["report.confidence"])
    files.write(rows=rows, schema=memorization.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
    first = headline(memorization=rows, utility=used)
    files.write_csv(rows=first, columns=list(first[0]), path=j.output.headline)
    files.write_json(metrics(memorization=rows, utility=used), j.output.metrics)
