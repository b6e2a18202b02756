"""What stays of the fine-tuning canaries against the KL coefficient."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.figures import kl_coefficient, style
from workflow_scripts.core.results.tables import persistence, persistence_trend
from workflow_scripts.core.results.tables.files import read

with job(snakemake) as j:
    kept, trend = read(j.input.persistence, persistence.SCHEMA), read(j.input.persistence_trend, persistence_trend.SCHEMA)
    style.save(kl_coefficient.plot(persistence=kept, persistence_trend=trend), j.output.svg, j.output.png)
