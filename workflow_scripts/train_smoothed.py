"""A reward model of one arm, on its preference pairs with labels that it smooths itself."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.training import schemas, models, runtime, smoothing
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.trainer import Stage

with job(snakemake) as j:
    name = j.wildcards.reward
    settings = j.config[f"reward_models.{name}"]
    seed = int(j.wildcards.seed) + settings["seed"]
    device = runtime.start(seed=seed, threads=j.threads, gpu=j.gpu, name=j.name)
    _, fim, _ = tokenizer.load(j.input.tokenizer)
    model = models.load_reward_model(j.input.parent, fim=fim, device=device)
    options = {k: v for k, v in settings.items() if k not in ("kind", "parent", "seed", "smoothing")}
    pairs = parquet.read_rows(j.input.pairs, schemas.PREFERENCES)
    checkpoints = Checkpoints(j.checkpoint_folder, j.checkpoint_percent)
    stage = Stage(seed=seed, device=device, desc=j.name, checkpoints=checkpoints, **options)
    record = smoothing.train(model=model, pairs=pairs, smoothing=settings["smoothing"], stage=stage)
    about = dict(policy=name, parent=settings["parent"], settings=settings, arm=j.wildcards.arm, seed=int(j.wildcards.seed))
    models.save(model=model, tokenizer_path=j.input.tokenizer, path=j.output.model, meta={**about, **record})
