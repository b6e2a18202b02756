"""IPO of a policy's parent on the arm's preference pairs."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Ipo
from workflow_scripts.core.training import ipo, session

with job(snakemake) as j:
    s = session.start(j, Ipo)
    model = s.load_policy(j.input.parent)
    record = ipo.train(model=model, pairs=session.read_pairs(j.input.pairs), session=s)
    s.save(model, j.output.model, record)
