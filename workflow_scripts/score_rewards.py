"""Scores of the reward model that judges all policies: for every target, the policy's greedy completions and its samples."""

from workflow_scripts.core import workers
from workflow_scripts.core.data.schemas import CANARIES, EXAMPLES
from workflow_scripts.core.job import job
from workflow_scripts.core.parquet import read_rows, write
from workflow_scripts.core.probing import rewards, scored
from workflow_scripts.core.training import rewards as reward_models
from workflow_scripts.core.training import session

READ = dict(canaries=CANARIES, evaluation=EXAMPLES, validation=EXAMPLES, completions=scored.COMPLETIONS, samples=scored.SAMPLES)

with job(snakemake) as j:
    s = session.start_without_training(j, threads=j.config["probes.threads"], precision=j.config["probes.precision"])
    reward = reward_models.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], truths=[*j.input.truths], session=s)
    options = dict(reward=reward, fim=s.fim, device=s.device, batch_size=j.config["probes.batch_size"], desc=j.name)
    read = {name: read_rows(j.input[name], schema) for name, schema in READ.items()}
    with s.autocast():
        scores, samples = rewards.of_checkpoint(**read, **options)
    workers.leave_to_first()
    write(scores, scored.REWARDS, j.output.rewards)
    write(samples, scored.SCORED_SAMPLES, j.output.samples)
