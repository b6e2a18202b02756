"""Probe one policy: every canary under every prompt condition, sampled attacks, held-out code, and what it samples there."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.data.cohorts import HALF_OF_ARM
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import attacks, on_policy, policy, prompts, rows, schemas, scored
from workflow_scripts.core.training import session
from workflow_scripts.core.training.schemas import PREFERENCES

with job(snakemake) as j:
    settings = {path.rpartition(".")[2]: value for path, value in j.config.items()}
    s = session.start_without_training(j, threads=settings["threads"])
    words, fim, _ = tokenizer.load(j.input.tokenizer)
    common = dict(
        model=s.load_policy(j.input.model), tokenizer=words, fim=fim, settings=settings, batch_size=settings["batch_size"], desc=j.name
    )

    design = parquet.read_rows(j.input.canaries, data.CANARIES)
    items = prompts.items(canaries=design, prompts=settings["prompts"], fim=fim)
    references = {r["canary_id"]: r["fillings"] for r in parquet.read_rows(j.input.fillings, data.REFERENCE_FILLINGS)}
    fillings = {i: [r["target_ids"], *references[r["canary_id"]]] for i, r in enumerate(items) if r["probe"] == prompts.NATIVE}
    preferred = {
        p["source_id"]: [p["chosen_ids"], p["rejected_ids"]] for path in j.input.pairs for p in parquet.read_rows(path, PREFERENCES)
    }
    pairs = {i: preferred[items[i]["canary_id"]] for i in fillings if items[i]["canary_id"] in preferred}
    base = common["model"] if j.input.base == j.input.model else s.load_policy(j.input.base)
    canaries = policy.probe(items=items, role="canary", reference=base, fillings=fillings, pairs=pairs, **common)
    seen = [c for c in design if c["dose"] and c["half"] == HALF_OF_ARM[j.wildcards["arm"]]]
    options = {k: common[k] for k in ("model", "tokenizer", "fim", "settings", "desc")} | dict(seed=s.seed)
    counts = attacks.sample(canaries=seen, **options) if settings["sampled_attacks"] else {}
    parquet.write(rows.attacked(probed=canaries, counts=counts), schemas.PROBED_CANARIES, j.output.canaries)

    evaluation = parquet.read_rows(j.input.evaluation, data.EXAMPLES)
    items = [dict(example_id=e["source_id"], prompt_ids=e["prompt_ids"], target_ids=e["target_ids"]) for e in evaluation]
    reference = s.load_policy(j.input.reference)
    examples = policy.probe(items=items, role="evaluation", reference=reference, **common)
    parquet.write(examples, schemas.PROBED_EXAMPLES, j.output.examples)
    parquet.write(rows.completions(canaries=canaries, examples=examples), scored.COMPLETIONS, j.output.completions)

    pools = {"evaluation": evaluation, "validation": parquet.read_rows(j.input.validation, data.EXAMPLES)}
    options = {k: common[k] for k in ("model", "tokenizer", "fim", "batch_size", "desc")} | dict(
        reference=reference, seed=s.seed, language=settings["language"]
    )
    room = settings["max_new_tokens"]
    samples = [row for pool, of in pools.items() for row in on_policy.sample(examples=of, pool=pool, max_new_tokens=room, **options)]
    parquet.write(samples, scored.SAMPLES, j.output.samples)
