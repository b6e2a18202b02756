"""What the reward model that judges all policies gives to every target and to the policy's greedy completions."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import schemas, prompts, rewards
from workflow_scripts.core.training import rewards as given
from workflow_scripts.core.training import runtime

with job(snakemake) as j:
    device = runtime.start(seed=int(j.wildcards.seed), threads=j.threads, gpu=j.gpu, name=j.name)
    _, fim, _ = tokenizer.load(j.input.tokenizer)
    asked = {c["canary_id"]: c for c in parquet.read_rows(j.input.canaries, data_schemas.CANARIES)}
    asked |= {e["source_id"]: e for e in parquet.read_rows(j.input.evaluation, data_schemas.EXAMPLES)}
    probed = parquet.read_rows(j.input.probed_canaries, schemas.PROBED_CANARIES)
    made = {r["canary_id"]: r["completion_ids"] for r in probed if r["probe"] == prompts.NATIVE}
    made |= {r["example_id"]: r["completion_ids"] for r in parquet.read_rows(j.input.probed_examples, schemas.PROBED_EXAMPLES)}
    items = [
        dict(item_id=name, prompt_ids=asked[name]["prompt_ids"], target_ids=asked[name]["target_ids"], completion_ids=ids)
        for name, ids in made.items()
    ]
    reward = given.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], fim=fim, device=device)
    rows = rewards.of_items(reward=reward, items=items, fim=fim, device=device, batch_size=j.config["probes.batch_size"], desc=j.name)
    parquet.write(rows, schemas.REWARDS, j.output.rewards)
