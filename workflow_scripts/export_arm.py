"""The training sets of one arm as JSON Lines for TRL, with a manifest and how to train on them."""

from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import export, schemas, tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.training.schemas import PREFERENCES

with job(snakemake) as j:
    words, fim, _ = tokenizer.load(j.input.tokenizer)
    common, folder = dict(texts=export.Texts(words, fim), fim=fim), Path(j.output.folder)
    folder.mkdir()
    files = {
        "sft.jsonl": export.sft(parquet.iterate(j.input.sft, schemas.EXAMPLES), **common),
        "rl_prompt.jsonl": export.rl_prompt(parquet.iterate(j.input.rl_prompt, schemas.EXAMPLES), **common),
    }
    for seed, pairs in zip(j.params.seeds, j.input.pairs, strict=True):
        files[f"preference-{seed}.jsonl"] = export.preference(parquet.iterate(pairs, PREFERENCES), **common)
    counts = {name: export.write(rows, folder / name) for name, rows in files.items()}
    export.describe(folder, run=j.wildcards["run"], arm=j.wildcards["arm"], files=counts, base=j.params.base)
