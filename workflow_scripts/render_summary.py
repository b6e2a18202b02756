"""The answer and the main tables as Markdown, for pasting."""

from pathlib import Path

from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.results.pages import summary
from workflow_scripts.core.results.tables.files import read_json
from workflow_scripts.core.results.tables.registry import read_all

with job(snakemake) as j:
    page = summary.render(
        config=j.config,
        tables=read_all(names=j.params.tables, paths=j.input.tables),
        manifest=read_json(j.input.manifest),
        model=tokenizer.read_about(j.input.tokenizer),
    )
    Path(j.output.summary).write_text(page, encoding="utf-8")
