"""Count every canary in every training set of both arms; fail if one is not where and as often as the design says, or is longer than completions."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import audit, schemas
from workflow_scripts.core.data.cohorts import PLANTED
from workflow_scripts.core.job import job

with job(snakemake) as j:
    canaries, rows = parquet.read_rows(j.input.canaries, schemas.CANARIES), []
    audit.check_room(canaries, *j.params.least_room)
    for number, arm in enumerate(j.params.arms):
        sets = {name: audit.read_examples(j.input[name][number]) for name in PLANTED}
        rows += audit.audit(canaries=canaries, arm=arm, training_sets={"base": audit.read_blocks(j.input.base), **sets})
    parquet.write(rows, schemas.AUDIT, j.output.audit)
    audit.check(rows, remedy=f"delete results/{j.wildcards['run']}/planted and run again")
