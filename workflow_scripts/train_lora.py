"""LoRA fine-tuning of a policy's parent on FIM examples."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Lora
from workflow_scripts.core.training import lora, session, sft

with job(snakemake) as j:
    s = session.start(j, Lora)
    model = s.load_policy(j.input.parent)
    rows = sft.completion_rows(session.read_examples(j.input.examples), s.fim)
    record = lora.train(model=model, rows=rows, session=s)
    s.save(model, j.output.model, record)
