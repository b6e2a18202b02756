"""A reward model of one arm, on its preference pairs, by TRL."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Single
from workflow_scripts.core.training import session
from workflow_scripts.core.training.by_trl import reward

with job(snakemake) as j:
    s = session.start(j, Single)
    model = s.load_reward_model(j.input.parent)
    record = reward.train(model=model, pairs=session.read_pairs(j.input.pairs), session=s)
    s.save(model, j.output.model, record)
