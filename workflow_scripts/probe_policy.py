"""Probe one policy: every canary under every prompt condition, sampled attacks, held-out code, and what it samples there."""

from workflow_scripts.core import workers
from workflow_scripts.core.data import schemas as data
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.parquet import read_rows, write
from workflow_scripts.core.probing import rows, schemas, scored
from workflow_scripts.core.probing.checkpoint import Checkpoint
from workflow_scripts.core.training import session
from workflow_scripts.core.training.schemas import PREFERENCES

with job(snakemake) as j:
    settings = {path.rpartition(".")[2]: value for path, value in j.config.items()}
    s = session.start_without_training(j, threads=settings["threads"], precision=settings["precision"])
    words, fim, _ = tokenizer.load(j.input.tokenizer)
    models = {path: s.load_policy(path) for path in {j.input.model, j.input.base, j.input.reference}}
    probed = Checkpoint(
        model=models[j.input.model], tokenizer=words, fim=fim, settings=settings, arm=j.wildcards["arm"], seed=s.seed, desc=j.name
    )
    fillings = {r["canary_id"]: r["fillings"] for r in read_rows(j.input.fillings, data.REFERENCE_FILLINGS)}
    pairs = [pair for path in j.input.pairs for pair in read_rows(path, PREFERENCES)]
    evaluation, validation = (read_rows(path, data.EXAMPLES) for path in (j.input.evaluation, j.input.validation))

    design, reference = read_rows(j.input.canaries, data.CANARIES), models[j.input.reference]
    with s.autocast():
        canaries = probed.canaries(design, base=models[j.input.base], fillings=fillings, pairs=pairs)
        examples = probed.examples(evaluation, reference=reference)
        samples = probed.samples(dict(evaluation=evaluation, validation=validation), reference=reference)
    workers.leave_to_first()
    write(canaries, schemas.PROBED_CANARIES, j.output.canaries)
    write(examples, schemas.PROBED_EXAMPLES, j.output.examples)
    write(rows.completions(canaries=canaries, examples=examples), scored.COMPLETIONS, j.output.completions)
    write(samples, scored.SAMPLES, j.output.samples)
