"""RLOO of a policy's parent against the arm's reward."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas, tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.training import models, on_policy, rewards, rloo, runtime
from workflow_scripts.core.training.checkpoints import Checkpoints

with job(snakemake) as j:
    seed, policy = int(j.wildcards.seed), j.wildcards.policy
    settings = j.config[f"policies.{policy}"]
    device = runtime.start(seed=seed, threads=j.threads, gpu=j.gpu, name=j.name)
    _, fim, _ = tokenizer.load(j.input.tokenizer)
    model, reference = (models.load_policy(j.input.parent, device=device) for _ in range(2))
    reward = rewards.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], fim=fim, device=device)
    asked = on_policy.prompts(
        rl_prompt=parquet.read_rows(j.input.rl_prompt, schemas.EXAMPLES),
        preference=parquet.read_rows(j.input.preference, schemas.EXAMPLES),
        preference_repeats=settings["preference_prompts"],
    )
    options = {k: v for k, v in settings.items() if k not in ("kind", "parent", "preference_prompts", "reward_model")}
    checkpoints = Checkpoints(j.checkpoint_folder, j.checkpoint_percent)
    how = rloo.Settings(seed=seed, device=device, desc=j.name, checkpoints=checkpoints, **options)
    record = rloo.train(model=model, reference=reference, reward=reward, fim=fim, asked=asked, settings=how)
    meta = dict(policy=policy, parent=settings["parent"], settings=settings, arm=j.wildcards.arm, seed=seed, **record)
    models.save(model=model, tokenizer_path=j.input.tokenizer, path=j.output.model, meta=meta)
