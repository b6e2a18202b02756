"""Forest plot of the paired contrasts between policies."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.figures import contrast, style
from workflow_scripts.core.results.tables.contrast import SCHEMA as CONTRAST
from workflow_scripts.core.results.tables.files import read

with job(snakemake) as j:
    style.save(contrast.plot(contrast=read(j.input.contrast, CONTRAST)), j.output.svg, j.output.png)
