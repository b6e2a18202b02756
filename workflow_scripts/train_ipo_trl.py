"""IPO of a policy's parent on the arm's preference pairs, by TRL."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Ipo
from workflow_scripts.core.training import session
from workflow_scripts.core.training.by_trl import preference

with job(snakemake) as j:
    s = session.start(j, Ipo)
    model = s.load_policy(j.input.parent)
    record = preference.ipo(model=model, pairs=session.read_pairs(j.input.pairs), session=s)
    s.save(model, j.output.model, record)
