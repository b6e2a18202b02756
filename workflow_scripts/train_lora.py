"""SFT of a policy's parent on FIM examples by low-rank additions to its weights."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas, tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.training import lora, models, runtime, sft
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.trainer import Stage

with job(snakemake) as j:
    seed, policy = int(j.wildcards.seed), j.wildcards.policy
    settings = j.config[f"policies.{policy}"]
    device = runtime.start(seed=seed, threads=j.threads, gpu=j.gpu, name=j.name)
    _, fim, _ = tokenizer.load(j.input.tokenizer)
    model = models.load_policy(j.input.parent, device=device)
    rows = sft.completion_rows(parquet.read_rows(j.input.examples, schemas.EXAMPLES), fim)
    options = {k: v for k, v in settings.items() if k not in ("kind", "parent", "data", "rank", "alpha")}
    checkpoints = Checkpoints(j.checkpoint_folder, j.checkpoint_percent)
    stage = Stage(seed=seed, device=device, desc=j.name, checkpoints=checkpoints, **options)
    record = lora.train(model=model, rows=rows, rank=settings["rank"], alpha=settings["alpha"], stage=stage)
    meta = dict(policy=policy, parent=settings["parent"], settings=settings, arm=j.wildcards.arm, seed=seed, **record)
    models.save(model=model, tokenizer_path=j.input.tokenizer, path=j.output.model, meta=meta)
