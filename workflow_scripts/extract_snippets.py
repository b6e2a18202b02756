"""Functions of the corpus, without duplicates, split into pools; the manifest gains their counts."""

import json
from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import corpus, schemas, snippets
from workflow_scripts.core.job import job

with job(snakemake) as j:
    settings = {key.rpartition(".")[2]: value for key, value in j.config.items()}
    documents = parquet.iterate(j.input.documents, schemas.DOCUMENTS, ["path", "text", "response_at", "rejected"])
    rows, became = snippets.pooled(documents=documents, settings=settings, folder=Path(j.output.snippets).parent)
    parquet.write(rows, schemas.SNIPPETS, j.output.snippets)
    manifest = corpus.with_snippets(json.loads(Path(j.input.manifest).read_text(encoding="utf-8")), **became)
    Path(j.output.manifest).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
