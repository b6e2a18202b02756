"""Accuracy of every reward model on held-out pairs, overall, where both end, and where lengths match."""

import pandas as pd

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import judged_pairs
from workflow_scripts.core.results.tables import files, reward_accuracy

with job(snakemake) as j:
    frames: dict[tuple[str, str], list] = {}
    for (name, arm, _), path in zip(j.params.chains, j.input.judged, strict=True):
        frames.setdefault((name, arm), []).append(parquet.read_frame([path], judged_pairs.SCHEMA))
    judged = {key: pd.concat(of_seeds) for key, of_seeds in frames.items()}
    rows = reward_accuracy.summarize(judged=judged, confidence=j.config["report.confidence"])
    files.write(rows=rows, schema=reward_accuracy.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
