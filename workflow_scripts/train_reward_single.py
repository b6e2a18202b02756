"""A reward model of one arm, on its preference pairs."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Single
from workflow_scripts.core.training import session, single_reward

with job(snakemake) as j:
    s = session.start(j, Single)
    model = s.load_reward_model(j.input.parent)
    record = single_reward.train(model=model, pairs=session.read_pairs(j.input.pairs), session=s)
    s.save(model, j.output.model, record)
