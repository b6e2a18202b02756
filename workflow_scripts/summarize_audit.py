"""Were the canaries really in the training sets, and nowhere else, and how often was each stage shown them? Sums of the counts."""

from workflow_scripts.core.data.schemas import AUDIT, BLOCKS, CANARIES, EXAMPLES
from workflow_scripts.core.job import job
from workflow_scripts.core.parquet import read_frame, read_rows, read_table
from workflow_scripts.core.results.tables import audit, files
from workflow_scripts.core.training import rl_prompts

with job(snakemake) as j:
    stages, canaries, sizes, uses = j.params.stages, read_rows(j.input.canaries, CANARIES), {}, {}
    for number, arm in enumerate(j.params.arms):
        sets = {name: j.input[name][number] for name in ("sft", "preference", "rl_prompt")}
        sizes |= {(arm, name): read_table(path, EXAMPLES, ["source"]).num_rows for name, path in sets.items()}
        sizes[arm, "base"] = read_table(j.input.base, BLOCKS, []).num_rows
        for stage, settings in stages.items():
            if "preference_prompts" in settings:
                prompts = rl_prompts.read(**{k: sets[k] for k in ("rl_prompt", "preference")}, repeats=settings["preference_prompts"])
                uses[stage, arm] = rl_prompts.uses(prompts=prompts, stage=settings, seeds=j.params.seeds, canaries=canaries)
    rows = audit.summarize(counts=read_frame([j.input.audit], AUDIT), stages=stages, sizes=sizes, uses=uses)
    files.write(rows=rows, schema=audit.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
