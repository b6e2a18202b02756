"""Read the source code named by `corpus` into documents.parquet and a manifest."""

import json
from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import corpus, schemas
from workflow_scripts.core.data.manifest import skipped
from workflow_scripts.core.job import job

with job(snakemake) as j:
    documents, manifest = corpus.collect(**{key.removeprefix("corpus."): value for key, value in j.config.items()})
    parquet.write(documents, schemas.DOCUMENTS, j.output.documents)  # reads them; the manifest is complete after it
    if said := skipped(manifest["counts"]):
        j.say(said)
    Path(j.output.manifest).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
