"""RRHF of a policy's parent on completions that it has sampled and the arm's reward has ranked."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas, tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.training import candidates, models, on_policy, rewards, rrhf, runtime
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.trainer import Stage

with job(snakemake) as j:
    seed, policy = int(j.wildcards.seed), j.wildcards.policy
    settings = j.config[f"policies.{policy}"]
    device = runtime.start(seed=seed, threads=j.threads, gpu=j.gpu, name=j.name)
    _, fim, _ = tokenizer.load(j.input.tokenizer)
    model = models.load_policy(j.input.parent, device=device)
    reward = rewards.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], fim=fim, device=device)
    asked = on_policy.prompts(
        rl_prompt=parquet.read_rows(j.input.rl_prompt, schemas.EXAMPLES),
        preference=parquet.read_rows(j.input.preference, schemas.EXAMPLES),
        preference_repeats=settings["preference_prompts"],
    )
    sampling = {k: settings[k] for k in ("samples", "max_new_tokens", "temperature", "missing_eos_penalty")}
    how = candidates.Sampling(seed=seed, device=device, desc=j.name, **sampling)
    rows = candidates.sample(model=model, reward=reward, fim=fim, asked=asked, how=how)
    own = ("kind", "parent", "preference_prompts", "reward_model", "sft_coef", *sampling)
    checkpoints = Checkpoints(j.checkpoint_folder, j.checkpoint_percent)
    stage = Stage(seed=seed, device=device, desc=j.name, checkpoints=checkpoints, **{k: v for k, v in settings.items() if k not in own})
    record = rrhf.train(model=model, rows=rows, sft_coef=settings["sft_coef"], stage=stage)
    meta = dict(policy=policy, parent=settings["parent"], settings=settings, arm=j.wildcards.arm, seed=seed, **record)
    models.save(model=model, tokenizer_path=j.input.tokenizer, path=j.output.model, meta={**meta, "candidates": candidates.record(rows)})
