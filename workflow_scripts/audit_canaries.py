"""Count every canary in every training set of both arms; fail if one is not where and as often as the design says."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import audit, schemas, planting
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.job import job

with job(snakemake) as j:
    canaries = parquet.read_rows(j.input.canaries, schemas.CANARIES)
    rows = []
    for number, arm in enumerate(j.params.arms):
        base = audit.token_ids(parquet.batches(j.input.base, schemas.BLOCKS, ["input_ids"]))
        sets = {
            name: audit.token_ids(parquet.batches(j.input[name][number], schemas.EXAMPLES, ["prompt_ids", "target_ids"]))
            for name in planting.PLANTED
        }
        rows += audit.audit(canaries=canaries, arm=arm, training_sets={"base": base, **sets})
    parquet.write(rows, schemas.AUDIT, j.output.audit)
    if wrong := audit.failures(rows):
        raise InputError(
            f"audit: {len(wrong)} canary counts differ from the design, first {wrong[0]}; delete results/{j.wildcards.run}/planted and run again"
        )
