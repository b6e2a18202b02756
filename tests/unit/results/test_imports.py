"""Small jobs start fast: a script imports a large library only where it uses it."""

import subprocess
import sys

import pytest

from workflow_scripts.core.freshness.code import ROOT, SCRIPTS

MODELS = {path.stem for path in SCRIPTS.glob("*.py") if path.stem.startswith(("train_", "probe_", "sample_p", "score_", "judge_"))}
MODELS -= {"train_tokenizer"}
SMALL = {path.stem for path in SCRIPTS.glob("*_*.py") if path.stem != "__init__"} - MODELS
TABLES, FIGURES = ({name for name in SMALL if name.startswith(verb)} for verb in ("summarize_", "plot_"))
UNTRAINED = {name for name in MODELS if not name.startswith("train_")} | {"train_ppo", "train_rloo"}  # without the library's loop
GROUPS = {  # title: (scripts, libraries that none of them imports)
    "no model": (SMALL, "torch transformers trl datasets snakemake"),
    "tables": (TABLES, "pandas scipy statsmodels matplotlib"),
    "figures": (FIGURES, "pandas scipy statsmodels"),
    "pages": ({"render_report", "render_summary"}, "scipy statsmodels matplotlib"),
    "no trainer": (UNTRAINED, "transformers.trainer datasets peft trl"),
    "no numbers": ({"summarize_cost", "render_summary"}, "pandas scipy matplotlib jinja2"),
}
CODE = """
import contextlib, runpy, sys
from workflow_scripts.core import job

class Reached(Exception):
    pass

@contextlib.contextmanager
def stop_here(_):
    raise Reached
    yield

job.job = stop_here
for script in sys.argv[1:]:
    with contextlib.suppress(Reached):
        runpy.run_path(script, init_globals={"snakemake": None})
        sys.exit(f"{script} does no job")
print(*sys.modules)
"""


def imported(scripts) -> set[str]:
    """What a process has imported when it has come to the job of each script."""
    paths = [str(SCRIPTS / f"{name}.py") for name in sorted(scripts)]
    return set(subprocess.run([sys.executable, "-c", CODE, *paths], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("group", GROUPS)
def test_scripts_do_not_wait_for_libraries_that_they_do_not_use(group):
    scripts, unused = GROUPS[group]
    found = imported(scripts)
    assert len(scripts) > 1 and "pyarrow" in found and found & set(unused.split()) == set()


def test_a_library_that_a_script_uses_is_seen():
    assert "matplotlib" in imported({"plot_shift"}) and "pandas" in imported({"render_report"})
