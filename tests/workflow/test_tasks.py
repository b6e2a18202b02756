"""A whole run of another task than filling in the middle, on rows of text with answers that were liked less."""

import json

import pytest

from tests.workflow.asked import transcripts
from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.data.fim import decode
from workflow_scripts.core.data.tokenizer import load
from workflow_scripts.core.probing.schemas import EVALUATION, EXTRACTION
from workflow_scripts.core.training.schemas import PREFERENCES


def overlay(folder) -> dict:
    """Questions about code with their answers, in a file of HH's form."""
    rows = transcripts(folder / "rows.jsonl", 700)
    with open(rows, "a", encoding="utf-8") as stream:
        stream.write(json.dumps({"chosen": "\n\nHuman: Why?\n\nAssistant:", "rejected": "\n\nHuman: Why?\n\nAssistant: So."}) + "\n")
    named = {"chosen_column": "chosen", "rejected_column": "rejected"}
    corpus = {"source": "jsonl", "path": str(rows), "language": "text", "licence": "PSF-2.0", "max_documents": None, **named}
    canaries = {"secret_types": ["path", "contact", "body", "natural"]}
    return {"corpus": corpus, "examples": {"task": "response"}, "preferences": {"rejected": "data"}, "canaries": canaries}


@pytest.mark.slow
def test_prompts_and_responses_from_rows_to_the_report(workflow):
    run = workflow(overlay=overlay(workflow.folder))
    assert run.returncode == 0, run.stderr[-3000:]
    folder = workflow.folder / "results/tiny"
    counts = json.loads((folder / "corpus/manifest.json").read_text())["counts"]
    assert counts["documents"] == 700 and counts["skipped_because"] == {"empty response": 1}
    tokenizer, fim, _ = load(folder / "tokenizer")
    forms = {fim.prefix, fim.suffix, fim.middle}
    for arm in "AB":
        pairs = parquet.read_rows(folder / f"preferences/{arm}/0.parquet", PREFERENCES)
        rows = parquet.read_rows(folder / f"planted/{arm}/preference.parquet", data_schemas.EXAMPLES)
        assert [p["rejected_ids"] for p in pairs if not p["substituted"]] == [
            [*e["rejected_ids"], fim.end] for e in rows if e["rejected_ids"] not in (None, e["target_ids"])
        ]
        assert [p["source_id"] for p in pairs if p["substituted"]] == [
            e["source_id"] for e in rows if e["source"] == "canary" or e["rejected_ids"] == e["target_ids"]
        ], "the data reject nothing of canaries, and of an answer nothing that begins as long like the chosen one"
        assert not any(forms & {*e["prompt_ids"]} for e in rows)
        assert all("Assistant:" in decode(tokenizer, e["prompt_ids"]) for e in rows)
    canaries = parquet.read_rows(folder / "planted/canaries.parquet", data_schemas.CANARIES)
    assert {c["secret_type"] for c in canaries} == {"path", "contact", "body", "natural"}
    probed = parquet.read_rows(folder / "extraction/sft.parquet", EXTRACTION)
    assert {row["probe"] for row in probed} == {"fim", "fim_no_end", "fim_50"}
    assert {row["parses"] for row in parquet.read_rows(folder / "evaluation/ppo.parquet", EVALUATION)} == {None}
    for page in ("report.html", "summary.md"):
        said = (folder / page).read_text(encoding="utf-8").replace("\\_", "_")
        assert "Task response: models write the response to a prompt" in said and "Text cannot be parsed" in said


@pytest.mark.slow
@pytest.mark.parametrize("task", ["line", "body"])
def test_a_dry_run_of_each_task_of_code(workflow, task):
    run = workflow("-n", overlay={"examples": {"task": task}})
    assert run.returncode == 0 and "plant_canaries" in run.stdout, run.stderr[-3000:]
