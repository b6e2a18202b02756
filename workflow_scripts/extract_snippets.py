"""Functions of the corpus, without duplicates, split into pools; the manifest gains their counts."""

import json
from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import corpus, schemas, snippets
from workflow_scripts.core.job import job

with job(snakemake) as j:
    settings = {key.removeprefix("corpus."): value for key, value in j.config.items()}
    manifest = json.loads(Path(j.input.manifest).read_text(encoding="utf-8"))
    documents = parquet.iterate(j.input.documents, schemas.DOCUMENTS, ["path", "text"])
    options = {k: settings[k] for k in ("min_lines", "max_lines", "max_chars", "language")}
    extracted, parsed = snippets.extract(documents=documents, **options)
    distinct, removed = snippets.without_duplicates(snippets=extracted, threshold=settings["near_duplicate_similarity"])
    folder = Path(j.output.snippets).parent
    split = {k: settings[k] for k in ("pools", "seed", "split_by")}
    pooled = snippets.split(snippets=distinct, **split, folder=folder, parsed=parsed)
    parquet.write(pooled, schemas.SNIPPETS, j.output.snippets)
    became = dict(removed=removed, skipped=parsed.skipped, parsed=parsed.counts, pools=settings["pools"])
    manifest = corpus.with_snippets(manifest, distinct=len(pooled), **became)
    Path(j.output.manifest).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
