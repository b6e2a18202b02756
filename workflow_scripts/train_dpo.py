"""DPO of a policy's parent on the arm's preference pairs."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Dpo
from workflow_scripts.core.training import dpo, session

with job(snakemake) as j:
    s = session.start(j, Dpo)
    model = s.load_policy(j.input.parent)
    record = dpo.train(model=model, pairs=session.read_pairs(j.input.pairs), length_penalty=s.settings.length_penalty, session=s)
    s.save(model, j.output.model, record)
