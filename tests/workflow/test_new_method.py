"""docs/extending.md, word for word: a method is added to a copy of the project by one entry, one module, one script and its defaults."""

import json

from tests.workflow.scenarios import CONFIG, CORE, RESULTS, SCRIPTS

ENTRY = '        Method("slic", "SLiC", "pairs", FINE_TUNED, Slic, "DPOTrainer"),\n'
SETTINGS = '''@dataclass(frozen=True, kw_only=True)
class Margin(Training):
    """The likelier completion by a margin."""

    margin: Positive


@dataclass(frozen=True)
class Method:'''
MODULE = '''"""Push the chosen completion to be likelier than the rejected one by a margin, per token."""

import functools

import torch

from . import pairwise
from .session import Session
from .trainer import fit


def loss(model, pairs: list[dict], *, margin: float):
    """(distance to the margin, mean over pairs; no metrics)."""
    return torch.relu(margin - pairwise.margins(model, pairs, average=True)).mean(), {}


def train(*, model, pairs: list[dict], session: Session) -> dict:
    """Train the policy in place; returns {steps, history, tokens}."""
    objective = functools.partial(loss, margin=session.settings.margin)
    return {**fit(model=model, rows=pairs, loss=objective, session=session), "tokens": pairwise.tokens(pairs, session)}
'''


def add_method(repository) -> None:
    """What a stranger has to do."""
    repository.edit(f"{CORE}/methods.py", ENTRY, ENTRY + '        Method("margin", "margin per token", "pairs", FINE_TUNED, Margin),\n')
    repository.edit(f"{CORE}/methods.py", "@dataclass(frozen=True)\nclass Method:", SETTINGS)
    repository.write(f"{CORE}/training/margin.py", MODULE)
    script = (repository.folder / SCRIPTS / "train_slic.py").read_text()
    script = (
        script.replace("Slic", "Margin").replace("import session, slic", "import margin, session").replace("slic.train", "margin.train")
    )
    repository.write(f"{SCRIPTS}/train_margin.py", script)
    repository.edit(CONFIG, "  slic: {learning_rate", "  margin: {learning_rate: 2.0e-5, margin: 0.1}\n  slic: {learning_rate")


def test_a_method_is_one_entry_one_module_one_script_and_its_defaults(repository):
    add_method(repository)
    assert repository.plan() == set(), "nothing that exists is made again"
    overlay = {"policies": {"wider": {"method": "margin", "parent": "sft", "margin": 0.5}}}
    planned = repository.plan(overlay=overlay)
    assert {"train_margin-A-0-wider", "train_margin-B-0-wider", "plot_workflow", "summarize_leaderboard"} <= planned
    assert {job for job in planned if job.startswith("train_")} == {"train_margin-A-0-wider", "train_margin-B-0-wider"}
    target = f"{RESULTS}/models/A/0/wider"
    assert repository.execute(target, overlay=overlay) == {"train_margin-A-0-wider"}
    meta = json.loads((repository.folder / target / "meta.json").read_text())
    assert meta["steps"] > 0 and meta["settings"]["margin"] == 0.5 and meta["settings"]["batch_size"] == 16
    misspelt = repository.run("--dry-run", overlay={"policies": {"wider": {"method": "margin", "parent": "sft", "margn": 0.5}}})
    assert "unknown key policies.wider.margn; did you mean margin?" in misspelt.said
    wrong = repository.run("--dry-run", overlay={"policies": {"wider": {"method": "margin", "parent": "sft", "margin": -1}}})
    assert "policies.wider.margin is -1 but must be more than 0" in wrong.said
