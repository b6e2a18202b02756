"""The layers of core/results import each other in one direction, and none of them loads a model library."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from workflow_scripts.core import results
from workflow_scripts.core.freshness.code import SCRIPTS

RESULTS = Path(results.__file__).parent
CORE = RESULTS.parent
MODULES = sorted(RESULTS.rglob("*.py"))
LAYERS = {  # layer: the layers that it may import besides itself
    "tables": set(),
    "cohorts": set(),
    "text": {"tables"},
    "figures": {"tables", "cohorts", "text"},
    "pages": {"tables", "cohorts", "text"},
    "runs": {"tables", "cohorts", "text", "figures", "pages"},
}
OTHERS = {"config", "data", "errors", "freshness", "methods", "parquet", "probing"}  # of core, what results may import


def layer_of(file: Path) -> str:
    """The folder of core/results, or the module beside the folders."""
    return file.relative_to(RESULTS).with_suffix("").parts[0]


def imported(file: Path) -> set[Path]:
    """The modules of core that a module's import statements name, wherever they stand in it."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            package = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for path in (package, *(package / alias.name for alias in node.names)):
                modules |= {path.with_suffix(".py")} if path.with_suffix(".py").is_file() else set()
    return modules


def libraries(file: Path) -> set[str]:
    """The libraries that a module's import statements name."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in names | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}}


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.relative_to(RESULTS).as_posix())
def test_a_module_imports_only_the_layers_that_it_may(file):
    layer = layer_of(file)
    inside = {layer_of(other) for other in imported(file) if other.is_relative_to(RESULTS)}
    outside = {other.relative_to(CORE).with_suffix("").parts[0] for other in imported(file) if not other.is_relative_to(RESULTS)}
    assert layer == "__init__" or inside <= {layer, *LAYERS[layer]}
    assert outside <= OTHERS
    assert not libraries(file) & {"torch", "transformers", "trl", "peft", "datasets", "snakemake"}


def test_figures_take_only_the_formats_of_the_text():
    for file in (RESULTS / "figures").glob("*.py"):
        assert {other.name for other in imported(file) if other.parent.name == "text"} <= {"format.py"}, file.name


def test_no_import_closes_a_circle():
    graph = {file: {other for other in imported(file) if other.is_relative_to(RESULTS)} for file in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)  # raises CycleError where there is one


def test_no_script_of_a_table_depends_on_the_schema_of_another_but_utilitys():
    for script in SCRIPTS.glob("summarize_*.py"):
        table = script.stem.removeprefix("summarize_")
        names = [alias.name for node in ast.parse(script.read_text()).body if isinstance(node, ast.ImportFrom) for alias in node.names]
        shared = {"canary_pairs", "files", "metrics", "headline", "utility", "job", "receipts", "read_frame", "AUDIT", "PARITY"}
        shared |= {"presentations", "on_policy"}  # what stands beside a dose, and beside perplexity
        shared |= {"BLOCKS", "CANARIES", "EXAMPLES", "read_rows", "read_table", "rl_prompts"}
        assert set(names) <= {table, *shared}, script.name


def test_files_stay_short_enough_to_read():
    for file in MODULES:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 200, file.name
