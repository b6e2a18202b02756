"""SLiC of a policy's parent on the arm's preference pairs."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.training import schemas, models, runtime, slic
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.trainer import Stage

with job(snakemake) as j:
    seed, policy = int(j.wildcards.seed), j.wildcards.policy
    settings = j.config[f"policies.{policy}"]
    device = runtime.start(seed=seed, threads=j.threads, gpu=j.gpu, name=j.name)
    model = models.load_policy(j.input.parent, device=device)
    options = {k: v for k, v in settings.items() if k not in ("kind", "parent", "delta", "sft_coef")}
    pairs = parquet.read_rows(j.input.pairs, schemas.PREFERENCES)
    checkpoints = Checkpoints(j.checkpoint_folder, j.checkpoint_percent)
    stage = Stage(seed=seed, device=device, desc=j.name, checkpoints=checkpoints, **options)
    record = slic.train(model=model, pairs=pairs, delta=settings["delta"], sft_coef=settings["sft_coef"], stage=stage)
    meta = dict(policy=policy, parent=settings["parent"], settings=settings, arm=j.wildcards.arm, seed=seed, **record)
    models.save(model=model, tokenizer_path=j.input.tokenizer, path=j.output.model, meta=meta)
