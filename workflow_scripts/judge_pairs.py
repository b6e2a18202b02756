"""A reward model of one arm on pairs of held-out code, which no training has seen."""

from workflow_scripts.core import parquet, workers
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import judged_pairs, scored
from workflow_scripts.core.training import rewards, session

with job(snakemake) as j:
    s = session.start_without_training(j, threads=j.config["probes.threads"], precision=j.config["probes.precision"])
    reward = rewards.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], truths=[*j.input.truths], session=s)
    options = dict(fim=s.fim, device=s.device, batch_size=j.config["probes.batch_size"], desc=j.name)
    with s.autocast():
        rows = judged_pairs.judge(reward=reward, pairs=session.read_pairs(j.input.pairs), **options)
    workers.leave_to_first()
    parquet.write(rows, scored.JUDGED_PAIRS, j.output.rewards)
