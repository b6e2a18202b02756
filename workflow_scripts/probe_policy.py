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
    models = {j.input.model: s.load_policy(j.input.model)}
    probed = Checkpoint(
        model=models[j.input.model], tokenizer=words, fim=fim, settings=settings, arm=j.wildcards["arm"], seed=s.seed, desc=j.name
    )

    def beside(path: str):
        """A model to compare with; at most one lies in memory beside the one that is probed."""
        if path not in models:
            for other in models.keys() - {j.input.model}:
                del models[other]
            models[path] = s.load_policy(path)
        return models[path]

    fillings = {r["canary_id"]: r["fillings"] for r in read_rows(j.input.fillings, data.REFERENCE_FILLINGS)}
    pairs = [pair for path in j.input.pairs for pair in read_rows(path, PREFERENCES)]
    evaluation, validation = (read_rows(path, data.EXAMPLES) for path in (j.input.evaluation, j.input.validation))

    design = read_rows(j.input.canaries, data.CANARIES)
    with s.autocast():
        canaries = probed.canaries(design, base=beside(j.input.base), fillings=fillings, pairs=pairs)
        examples = probed.examples(evaluation, reference=beside(j.input.reference))
        samples = probed.samples(dict(evaluation=evaluation, validation=validation), reference=beside(j.input.reference))
    workers.leave_to_first()
    write(canaries, schemas.PROBED_CANARIES, j.output.canaries)
    write(examples, schemas.PROBED_EXAMPLES, j.output.examples)
    write(rows.completions(canaries=canaries, examples=examples), scored.COMPLETIONS, j.output.completions)
    write(samples, scored.SAMPLES, j.output.samples)
