"""What DVC is told of a job."""

from pathlib import Path
from types import SimpleNamespace

import yaml

from workflow_scripts.core.freshness.code import ROOT
from workflow_scripts.core.freshness.storage import dvc_yaml


def test_no_place_of_somebody_s_home_folder_is_named(monkeypatch):
    """DVC expands no `~`, and another user has another home, or has not fetched the package yet."""
    monkeypatch.setenv("HOME", "/home/me")
    job = SimpleNamespace(
        rule="train_base",
        wildcards={"run": "one"},
        receipt="results/one/receipts/train_base.json",
        declared={"script": "workflow_scripts/train_base.py", "config": []},
        parents={},
        sources=["/home/me/.cache/canaryflow/packages/a==1/model.gguf", "/data/code", "experiments/quick.yaml"],
        own=["~/code"],
        outputs=["results/one/model"],
    )
    stages = yaml.safe_load(dvc_yaml(jobs=[job], config_files={"config.yaml": {}}, methods={}, folder=Path(ROOT)))["stages"]
    assert stages["train_base"]["deps"] == ["/data/code", "experiments/quick.yaml", "workflow_scripts/train_base.py"]
