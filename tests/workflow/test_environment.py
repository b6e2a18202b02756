"""One source of versions: the conda files and the pyproject agree with envs/requirements.txt, which is installed here."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ENVS = Path(__file__).parents[2] / "envs"
PINS = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ENVS / "requirements.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["data.yaml", "train.yaml"])
def test_conda_files_agree_with_the_pins(name):
    packages = yaml.safe_load((ENVS / name).read_text())["dependencies"][-1]["pip"]
    assert packages and all(PINS[package.split("==")[0]] == package.split("==")[1] for package in packages)


def test_installed_versions_are_the_pinned_ones():
    wrong = {name: version(name) for name, pin in PINS.items() if version(name).split("+")[0] != pin}
    assert not wrong
