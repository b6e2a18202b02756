"""SFT of a policy's parent on FIM examples."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Sft
from workflow_scripts.core.training import session, sft

with job(snakemake) as j:
    s = session.start(j, Sft)
    model = s.load_policy(j.input.parent)
    rows = sft.completion_rows(session.read_examples(j.input.examples), s.fim)
    record = sft.train(model=model, rows=rows, session=s)
    s.save(model, j.output.model, record)
