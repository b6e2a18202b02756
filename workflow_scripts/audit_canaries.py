"""Count every canary in every training set of both arms; fail if one is not where and as often as the design says."""

from workflow_scripts.core import schemas
from workflow_scripts.core.data import audit, planting
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.job import job

with job(snakemake) as j:
    canaries = schemas.read_rows(j.input.canaries, "canaries")
    base = [block["input_ids"] for block in schemas.read_rows(j.input.base, "blocks")]
    rows = []
    for number, arm in enumerate(j.params.arms):
        sets = {
            name: [e["prompt_ids"] + e["target_ids"] for e in schemas.read_rows(j.input[name][number], "examples")]
            for name in planting.PLANTED
        }
        rows += audit.audit(canaries=canaries, arm=arm, training_sets={"base": base, **sets})
    schemas.write_parquet(rows, "audit", j.output.audit)
    if wrong := audit.failures(rows):
        raise InputError(
            f"audit: {len(wrong)} canary counts differ from the design, first {wrong[0]}; delete results/{j.wildcards.run}/planted and run again"
        )
