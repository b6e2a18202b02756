"""Everything on one HTML page."""

from pathlib import Path

from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.freshness import code, receipts
from workflow_scripts.core.job import job
from workflow_scripts.core.results.pages import explorer, provenance, report
from workflow_scripts.core.results.tables.files import read_json
from workflow_scripts.core.results.tables.registry import read_all

with job(snakemake) as j:
    canaries = dict(extraction=j.input.extraction, canaries=j.input.canaries, tokenizer=j.input.tokenizer)
    page = report.render(
        config=j.config,
        tables=read_all(names=j.params.tables, paths=j.input.tables),
        figures={name: Path(path).read_bytes() for name, path in zip(j.params.figures, j.input.figures, strict=True)},
        manifest=read_json(j.input.manifest),
        versions=read_json(j.input.versions),
        explorer=explorer.read(**canaries, policies=j.config["policies"], show_own=j.config["canaries"]["show_own"]),
        receipts=[receipt for path in j.input.receipts if (receipt := receipts.read(path))],
        commit=provenance.git_state(code.ROOT),
        model=tokenizer.read_about(j.input.tokenizer),
    )
    Path(j.output.report).write_text(page, encoding="utf-8")
