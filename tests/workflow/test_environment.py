"""One source of versions: the conda files and the pyproject agree with envs/requirements.txt, which is installed here."""

import ast
import functools
import re
import sys
from importlib.metadata import packages_distributions, requires, version

import pytest
import yaml

from tests.conftest import ROOT
from workflow_scripts.core.freshness.code import closure

PINS = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "envs/requirements.txt").read_text(), re.MULTILINE))
CONDA = {"DATA": "data", "MODELS": "train"}  # the names in rules/common.smk


def packages(name: str) -> dict[str, str]:
    """{package: version} of a conda file."""
    dependencies = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())["dependencies"]
    return dict(pin.split("==") for pin in dependencies[-1]["pip"])


def with_what_they_need(names) -> set[str]:
    """Packages with those that they require, in lower case."""
    found, todo = set(), [*names]
    while todo:
        name = re.split(r"[^A-Za-z0-9_.-]", todo.pop())[0].lower().replace("_", "-")
        if name not in found and name in {pin.lower().replace("_", "-") for pin in PINS}:
            found.add(name)
            todo += [needed for needed in requires(name) or () if "extra ==" not in needed]
    return found


@functools.cache
def imported(file: str) -> set[str]:
    """What a module imports, wherever in it, that is neither ours nor of the standard library."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        names |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        names |= {node.module} if isinstance(node, ast.ImportFrom) and not node.level else set()
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"workflow_scripts"}


@pytest.mark.parametrize("name", CONDA.values())
def test_conda_files_agree_with_the_pins(name):
    assert packages(name) and packages(name).items() <= PINS.items()


@pytest.mark.parametrize("conda", CONDA)
def test_conda_files_have_what_the_scripts_of_their_rules_import(conda):
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    scripts = re.findall(rf'conda:\n +{conda}\n +script:\n +"\.\./(\S+)"', rules)
    files = [path for script in scripts for path in ROOT.glob(re.sub(r"\{.*?\}", "*", script))]
    there, sold_as = with_what_they_need(packages(CONDA[conda])), packages_distributions()
    modules = {module for file in files for module in closure(file.relative_to(ROOT).as_posix())}
    missing = {
        (name, module)
        for module in modules
        for name in imported(module)
        if not {sold.lower().replace("_", "-") for sold in sold_as.get(name, [name])} & there
    }
    optional = set(re.findall(r"^# (\S+)==\S+ +# optional", (ROOT / "envs/requirements.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert len(files) > 15 and {name for name, _ in missing} <= optional


def test_the_project_is_laid_out_as_the_workflow_catalog_asks():
    """Its README on GitHub: what a repository must have, and what its own file may say."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme and "workflow" in readme and (ROOT / "Snakefile").is_file() and [*(ROOT / "rules").glob("*.smk")]
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert usage.keys() == {"mandatory-flags", "software-stack-deployment", "report"}
    assert {key for key, works in usage["software-stack-deployment"].items() if works} == {"conda"}


def test_installed_versions_are_the_pinned_ones():
    wrong = {name: version(name) for name, pin in PINS.items() if version(name).split("+")[0] != pin}
    assert not wrong
