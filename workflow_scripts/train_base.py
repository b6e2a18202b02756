"""Train the base model on blocks of code, from scratch or on top of a pretrained model."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas, tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.training import models, runtime, sft
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.trainer import Stage

with job(snakemake) as j:
    seed, policy = int(j.wildcards.seed), j.wildcards.policy
    settings = j.config[f"policies.{policy}"]
    device = runtime.start(seed=seed, threads=j.threads, gpu=j.gpu, name=j.name)
    words, fim, context = tokenizer.load(j.input.tokenizer)
    shape = {key: settings.get(key, value) for key, value in j.config["model"].items()}  # a base policy may have a size of its own
    model = models.create_base(model=shape, tokenizer=words, fim=fim, context=context).to(device)
    rows = sft.block_rows(parquet.read_rows(j.input.blocks, schemas.BLOCKS))
    options = {k: v for k, v in settings.items() if k != "kind" and k not in shape}
    checkpoints = Checkpoints(j.checkpoint_folder, j.checkpoint_percent)
    stage = Stage(seed=seed, device=device, desc=j.name, checkpoints=checkpoints, **options)
    record = sft.train(model=model, rows=rows, stage=stage)
    meta = dict(policy=policy, parent=None, settings={"model": shape, **settings}, seed=seed, **record)
    models.save(model=model, tokenizer_path=j.input.tokenizer, path=j.output.model, meta=meta)
