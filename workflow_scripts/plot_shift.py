"""What each policy after the reference did to each canary."""

import pandas as pd

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import kinds as probing_kinds
from workflow_scripts.core.results import figures, kinds, style

with job(snakemake) as j:
    figure = figures.shift(
        extraction=pd.concat([parquet.read_frame(path, probing_kinds.EXTRACTION) for path in j.input.extraction]),
        utility=parquet.read_rows(j.input.utility, kinds.TABLES["utility"]),
        reference=j.config["report.reference"],
        later=j.params.later,
    )
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
