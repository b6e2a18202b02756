"""A reward model of one arm, on its preference pairs with labels that it smooths itself."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Smoothed
from workflow_scripts.core.training import session, smoothed_reward

with job(snakemake) as j:
    s = session.start(j, Smoothed)
    model = s.load_reward_model(j.input.parent)
    record = smoothed_reward.train(model=model, pairs=session.read_pairs(j.input.pairs), session=s)
    s.save(model, j.output.model, record)
