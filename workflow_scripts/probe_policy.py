"""Everything that is asked of one policy: every canary under every prompt condition, and held-out code."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import schemas, policy, prompts
from workflow_scripts.core.training import models, runtime

with job(snakemake) as j:
    settings = {path.removeprefix("probes."): value for path, value in j.config.items()}
    device = runtime.start(seed=int(j.wildcards.seed), threads=j.threads, gpu=j.gpu, name=j.name)
    words, fim, _ = tokenizer.load(j.input.tokenizer)
    model = models.load_policy(j.input.model, device=device)
    asked = dict(model=model, tokenizer=words, fim=fim, settings=settings, batch_size=settings["batch_size"], desc=j.name)

    canaries = parquet.read_rows(j.input.canaries, data_schemas.CANARIES)
    items = prompts.asked(canaries=canaries, prompts=settings["prompts"], fim=fim)
    references = {r["canary_id"]: r["fillings"] for r in parquet.read_rows(j.input.references, data_schemas.REFERENCES)}
    fillings = {i: [r["target_ids"], *references[r["canary_id"]]] for i, r in enumerate(items) if r["probe"] == prompts.NATIVE}
    rows = policy.probe(items=items, role="canary", fillings=fillings, **asked)
    parquet.write(rows, schemas.PROBED_CANARIES, j.output.canaries)

    examples = parquet.read_rows(j.input.evaluation, data_schemas.EXAMPLES)
    items = [dict(example_id=e["source_id"], prompt_ids=e["prompt_ids"], target_ids=e["target_ids"]) for e in examples]
    reference = models.load_policy(j.input.reference, device=device)
    rows = policy.probe(items=items, role="evaluation", reference=reference, **asked)
    parquet.write(rows, schemas.PROBED_EXAMPLES, j.output.examples)
