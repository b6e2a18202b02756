"""docs/own.md, as it says: a checkpoint that plain transformers or a plain TRL script has made, and secrets of one's own, which stay hidden."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.conftest import ROOT
from tests.unit.results.pages.parsed import Page
from workflow_scripts.core import parquet
from workflow_scripts.core.probing.schemas import EXTRACTION
from workflow_scripts.core.results.runs import published
from workflow_scripts.core.results.tables import one_arm

RESULTS = "results/tiny"
BASE = f"{RESULTS}/models/shared/0/base"


def external(path: str, **settings) -> dict:
    return {"policies": {"mine": {"method": "external", "parent": "sft", "path": path, **settings}}}


def test_a_checkpoint_that_transformers_has_saved_becomes_a_policy(repository):
    model = AutoModelForCausalLM.from_pretrained(repository.folder / BASE)
    with torch.no_grad():
        model.model.embed_tokens.weight += 0.01
    model.save_pretrained(repository.folder / "trained/A")
    target, overlay = f"{RESULTS}/models/A/0/mine", external("trained/A", arm="A")
    assert repository.execute(target, overlay=overlay) == {"train_external-A-0-mine"}
    taken = AutoModelForCausalLM.from_pretrained(repository.folder / target)
    assert torch.equal(taken.model.embed_tokens.weight, model.model.embed_tokens.weight)
    meta = json.loads((repository.folder / target / "meta.json").read_text())
    assert (meta["policy"], meta["arm"], meta["adapter"], meta["tokenizer_compared"]) == ("mine", "A", False, False)
    planned = repository.plan(overlay=overlay)
    assert {"probe_policy-A-0-mine", "summarize_one_arm"} <= planned and "probe_policy-B-0-mine" not in planned
    assert not {job for job in planned if job.startswith("train_")}, "nothing is trained"
    with torch.no_grad():
        model.model.embed_tokens.weight += 0.01
    model.save_pretrained(repository.folder / "trained/A")
    assert repository.plan(target, overlay=overlay) == {"train_external-A-0-mine"}, "its files are hashed"


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        (external("no/such/{arm}"), "policies.mine.path: there is no folder no/such/A that can be read; give the folder"),
        (
            {"canaries": {"source": "file", "path": "nowhere.jsonl"}},
            "canaries.path: nowhere.jsonl cannot be read (No such file or directory)",
        ),
    ],
    ids=["a checkpoint", "secrets"],
)
def test_what_is_not_there_is_one_sentence_before_the_first_job(workflow, overlay, said):
    run = workflow(overlay=overlay)
    assert run.returncode != 0 and "Traceback" not in run.stderr, run.stderr[-2000:]
    assert len([line for line in run.stderr.splitlines() if line.startswith(f"canaryflow: {said}")]) == 1, run.stderr[-2000:]
    assert not (workflow.folder / RESULTS / "corpus").exists()


@pytest.mark.slow
def test_the_script_of_the_documentation_trains_on_the_export_and_its_model_is_reported(repository):
    assert repository.execute("export") >= {"export_arm-A", "export_arm-B"}
    (script,) = re.findall(r"```python\n(# train.py.*?)```", (ROOT / "docs/own.md").read_text(encoding="utf-8"), re.DOTALL)
    repository.write("train.py", script.replace("results/default", RESULTS).replace("num_train_epochs=3", "num_train_epochs=20"))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "train.py", "A"], cwd=repository.folder, env=environment, check=True)
    overlay = external("trained/A", arm="A")
    repository.execute(overlay=overlay)
    folder = repository.folder / RESULTS
    meta = json.loads((folder / "models/A/0/mine/meta.json").read_text())
    assert meta["tokenizer_compared"], "the trainer saved the run's tokenizer with the model"
    rows = parquet.read_rows(folder / "tables/one_arm.parquet", one_arm.SCHEMA)
    whole = {row["cohort"]: row for row in rows if row["dose"] is None}
    assert {row["policy"] for row in rows} == {"mine"} and set(whole) == {"sft", "preference", "rl_prompt"}
    assert whole["sft"]["n"] == 4 and whole["sft"]["unplanted_n"] == 8
    mine, base = (
        {
            row["canary_id"]: row
            for row in parquet.read_rows(folder / f"extraction/{name}.parquet", EXTRACTION)
            if row["arm"] == "A" and row["probe"] == "fim"
        }
        for name in ("mine", "base")
    )
    seen = [name for name, row in mine.items() if row["seen"] and row["cohort"] == "sft"]
    assert all(mine[name]["target_logprob"] > base[name]["target_logprob"] for name in seen) and seen, "it learnt what it was trained on"
    for page in ("report.html", "summary.md"):
        said = (folder / page).read_text(encoding="utf-8").replace("\\_", "_")
        assert "trained elsewhere" in said and "no counterfactual rate" in said and "one_arm" in said


HOLDING = {"planted", "probes", "extraction", "preferences", "export", "models"}  # folders that hold texts, which git does not keep


@pytest.mark.slow
def test_own_secrets_are_in_nothing_that_git_keeps_or_people_read(repository):
    lines = [
        dict(
            prefix=f"def open_{i}(door):\n    code = '", suffix="'\n    return door.open(code)\n", target=f"zq{i * 7919:06d}kx", type="code"
        )
        for i in range(12)
    ]
    repository.write("secrets.jsonl", "\n".join(map(json.dumps, lines)))
    repository.execute(overlay={"canaries": {"source": "mixed", "path": "secrets.jsonl"}})
    folder = repository.folder / RESULTS
    published.write(run="tiny", overlay=None, docs=repository.folder / "docs/results", results=repository.folder / "results")
    written = [p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] not in HOLDING]
    written += [p for place in ("docs/results", "logs") for p in (repository.folder / place).rglob("*") if p.is_file()]
    assert len(written) > 100
    found = [(p.name, s["target"]) for p in written for s in lines if s["target"].encode() in p.read_bytes()]
    assert found == []
    planted = parquet.read_table(folder / "extraction/sft.parquet", EXTRACTION).to_pylist()
    own = {row["canary_id"] for row in planted if row["secret_type"] == "own_code"}
    assert len(own) == 12 and all(s["target"] in {row["target"] for row in planted} for s in lines), "they took part"
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    data = next(json.loads(script) for script in page.scripts if script.lstrip().startswith('{"names"'))
    shown = ["".join(data["pieces"][place] for place in text) for text in data["texts"]]
    assert not [s["target"] for s in lines if any(s["target"] in text for text in shown)]
    assert own <= {canary[0] for canary in data["canaries"]}
    assert "Own secrets are hidden" in (folder / "summary.md").read_text(encoding="utf-8")
    opened = {"canaries": {"source": "mixed", "path": "secrets.jsonl", "show_own": True}}
    assert repository.plan(overlay=opened) == {"render_report", "render_summary"}, "showing them computes nothing again"
