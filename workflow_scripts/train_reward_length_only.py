"""A reward that is fitted to the lengths of one arm's preference pairs, and knows nothing else."""

import json
from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.training import length_reward
from workflow_scripts.core.training.schemas import PREFERENCES

with job(snakemake) as j:
    name, record = j.wildcards["reward"], length_reward.fit(parquet.read_rows(j.input.pairs, PREFERENCES))
    about = dict(policy=name, settings=j.config[f"reward_models.{name}"], arm=j.wildcards["arm"], seed=int(j.wildcards["seed"]))
    Path(j.output.model).mkdir()
    text = json.dumps({**about, **record}, indent=1, sort_keys=True) + "\n"
    (Path(j.output.model) / "meta.json").write_text(text, encoding="utf-8")
