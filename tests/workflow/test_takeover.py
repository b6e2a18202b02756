"""A run under another name takes over what the finished one has made, and makes only what differs."""

import hashlib
import json
import re

import pytest

from tests.workflow.repository import NOTHING
from tests.workflow.scenarios import CORE, note

TWIN = {"run": "twin"}
NAMED = {"summarize_cost", "render_report", "render_summary"}  # they show the run's name, or hold its receipts


def files(repository, run: str) -> dict[str, str]:
    """{path in the run's folder: MD5} of all artifacts that say no time and no run."""
    folder = repository.folder / "results" / run
    left = re.compile(r"receipts/|report\.html|summary\.md|tables/(cost|versions)|.*\.snakemake_timestamp")
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: hashlib.md5(p.read_bytes()).hexdigest() for name, p in found.items() if not left.match(name)}


def test_the_same_config_under_another_name_trains_nothing(repository):
    before = files(repository, "tiny")
    receipts = repository.receipts()
    dry = repository.run("--dry-run", overlay=TWIN)
    count = len(receipts) - len(NAMED)
    assert f"canaryflow: {count} jobs of run tiny would be taken over" in dry.said and dry.status == 0, dry.said[-3000:]
    assert not (repository.folder / "results/twin").exists()

    run = repository.run(overlay=TWIN)
    assert run.status == 0 and run.jobs == NAMED and f"canaryflow: {count} jobs of run tiny taken over" in run.said, run.said[-3000:]
    assert files(repository, "twin") == files(repository, "tiny") == before and len(before) > 100
    assert repository.receipts() == receipts
    assert (repository.folder / "results/twin/tables/cost.csv").read_bytes() == (
        repository.folder / "results/tiny/tables/cost.csv"
    ).read_bytes()
    again = repository.run(overlay=TWIN)
    assert NOTHING in again.said and "taken over" not in again.said
    assert NOTHING in repository.run().said


def test_only_what_differs_is_made(repository):
    """One setting of PPO and one module of IPO: their checkpoints are trained, all that they start from is taken over."""
    note(f"{CORE}/training/ipo.py")(repository)
    overlay = {**TWIN, "policies": {"ppo": {"kl_coef": 0.1}}}
    targets = [f"results/twin/models/A/0/{policy}" for policy in ("ppo", "ipo", "sft_chosen")]
    run = repository.run(*targets, overlay=overlay)
    assert run.status == 0 and run.jobs == {"train_ppo-A-0-ppo", "train_ipo-A-0-ipo"}, run.said[-3000:]
    weights = [
        {r: (repository.folder / f"results/{r}/models/A/0/{p}/model.safetensors").read_bytes() for r in ("tiny", "twin")}
        for p in ("ppo", "sft_chosen")
    ]
    assert weights[0]["tiny"] != weights[0]["twin"] and weights[1]["tiny"] == weights[1]["twin"]


@pytest.mark.slow
def test_a_run_that_was_made_by_itself_has_the_same_bytes(repository):
    """Nothing in an artifact names its run."""
    run = repository.run("results/twin/preferences/A/0.parquet", overlay=TWIN, CANARYFLOW_TAKE_OVER="0")
    assert run.status == 0 and "taken over" not in run.said and "train_base-0-base" in run.jobs, run.said[-3000:]
    made, theirs = files(repository, "twin"), files(repository, "tiny")
    assert len(made) > 15 and made == {name: theirs[name] for name in made}
    meta = json.loads((repository.folder / "results/twin/models/A/0/sft/meta.json").read_text())
    assert meta["policy"] == "sft" and "twin" not in json.dumps(meta)
