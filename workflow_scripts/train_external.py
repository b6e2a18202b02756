"""A checkpoint that was trained elsewhere, taken over as a policy of this run."""

from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.methods import External
from workflow_scripts.core.training import external, session

with job(snakemake) as j:
    s = session.start(j, External)
    model, record = external.load(
        key=s.section,
        revision=s.settings.revision,
        trust_remote_code=j.config["model.trust_remote_code"],
        context=tokenizer.load_fim(j.input.tokenizer)[1],
        tokenizer=j.input.tokenizer,
        like=j.input.base,
        **j.params.paths,
    )
    s.save(model, j.output.model, record)
