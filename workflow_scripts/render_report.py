"""Everything on one HTML page."""

import json
from pathlib import Path

from workflow_scripts.core import schemas
from workflow_scripts.core.job import job
from workflow_scripts.core.results import report

with job(snakemake) as j:
    manifest, versions = (json.loads(Path(path).read_text(encoding="utf-8")) for path in (j.input.manifest, j.input.versions))
    page = report.render(
        config=j.config,
        tables={t: schemas.read_rows(path, t) for t, path in zip(j.params.tables, j.input.tables, strict=True)},
        figures={f: Path(path).read_bytes() for f, path in zip(j.params.figures, j.input.figures, strict=True)},
        manifest=manifest,
        versions=versions,
    )
    Path(j.output.report).write_text(page, encoding="utf-8")
