"""SFT of a policy's parent on FIM examples, by TRL."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Sft
from workflow_scripts.core.training import session, sft
from workflow_scripts.core.training.by_trl import supervised

with job(snakemake) as j:
    s = session.start(j, Sft)
    model = s.load_policy(j.input.parent)
    rows = sft.completion_rows(session.read_examples(j.input.examples), s.fim)
    record = supervised.train(model=model, rows=rows, session=s)
    s.save(model, j.output.model, record)
