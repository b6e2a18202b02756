"""Memorized rate against dose, one panel per policy."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.figures import dose_response, style
from workflow_scripts.core.results.tables.files import read
from workflow_scripts.core.results.tables.memorization import SCHEMA as MEMORIZATION
from workflow_scripts.core.results.tables.utility import SCHEMA as UTILITY

with job(snakemake) as j:
    figure = dose_response.plot(memorization=read(j.input.memorization, MEMORIZATION), utility=read(j.input.utility, UTILITY))
    style.save(figure, j.output.svg, j.output.png)
