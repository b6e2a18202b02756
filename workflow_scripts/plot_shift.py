"""What each policy after the reference did to each canary."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import pairs, schemas, shift, style

with job(snakemake) as j:
    figure = shift.shift(
        extraction=pairs.read(paths=j.input.extraction, measures=shift.MEASURES),
        utility=parquet.read_rows(j.input.utility, schemas.TABLES["utility"]),
        reference=j.config["report.reference"],
        later=j.params.later,
    )
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
