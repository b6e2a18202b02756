"""What each policy after the reference did to each canary."""

import pandas as pd

from workflow_scripts.core import schemas
from workflow_scripts.core.job import job
from workflow_scripts.core.results import figures, style

with job(snakemake) as j:
    figure = figures.shift(
        extraction=pd.concat([schemas.read_frame(path, "extraction") for path in j.input.extraction]),
        utility=schemas.read_rows(j.input.utility, "utility"),
        reference=j.config["report.reference"],
        later=j.params.later,
    )
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
