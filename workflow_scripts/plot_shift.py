"""What each policy after the reference did to each canary."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.figures import shift, style
from workflow_scripts.core.results.tables import canary_pairs, files, utility

with job(snakemake) as j:
    figure = shift.plot(
        extraction=canary_pairs.read(j.input.extraction, shift.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        reference=j.config["report.reference_policy"],
        later=j.params.later,
    )
    style.save(figure, j.output.svg, j.output.png)
