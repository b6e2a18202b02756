"""Everything on one HTML page."""

import json
from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.freshness import code, receipts
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import schemas as probing_schemas
from workflow_scripts.core.results import explorer, report, schemas

with job(snakemake) as j:
    manifest, versions = (json.loads(Path(path).read_text(encoding="utf-8")) for path in (j.input.manifest, j.input.versions))
    canaries = explorer.data(
        extraction=parquet.read_frame(j.input.extraction, probing_schemas.EXTRACTION, explorer.COLUMNS),
        canaries=parquet.read_rows(j.input.canaries, data_schemas.CANARIES),
        pieces=explorer.pieces(j.input.tokenizer),
        policies=list(j.config["policies"]),
        shared=[name for name, policy in j.config["policies"].items() if policy["method"] == "base"],
    )
    page = report.render(
        config=j.config,
        tables={t: parquet.read_rows(path, schemas.TABLES[t]) for t, path in zip(j.params.tables, j.input.tables, strict=True)},
        figures={f: Path(path).read_bytes() for f, path in zip(j.params.figures, j.input.figures, strict=True)},
        manifest=manifest,
        versions=versions,
        explorer=canaries,
        receipts=[receipt for path in j.input.receipts if (receipt := receipts.read(path))],
        commit=report.git_state(code.ROOT),
    )
    Path(j.output.report).write_text(page, encoding="utf-8")
