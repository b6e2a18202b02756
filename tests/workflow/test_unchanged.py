"""What changes no result: after it, a run has nothing to do, and says so within three seconds."""

import os
import random
import shutil
import subprocess
import sys
import time

import pytest

from tests.workflow import stages
from tests.workflow.repository import Repository
from tests.workflow.scenarios import CONFIG, CORE, KL, RESULTS, SCRIPTS, both, edit, note, remove, rows

TRAIN, REPORT, PLOT = "rules/train.smk", "rules/report.smk", f"{SCRIPTS}/plot_workflow.py"
BASE_LOG, SHIFT_LOG = "{run}/train_base/{seed}/{policy}.log", '"logs/{run}/plot_shift.log",'
SHIFT_TIMES = f'{SHIFT_LOG}\n    benchmark:\n        "results/{{run}}/plot_shift.tsv"'


def nothing(repository):
    pass


def touch_all(repository):
    """Any time for every file and folder, from 1970 to the future."""
    dice = random.Random(1)
    for path in repository.folder.rglob("*"):
        if ".git" not in path.relative_to(repository.folder).parts:
            when = dice.choice((0, dice.uniform(0, time.time() + 1e8)))
            os.utime(path, (when, when))


def reset_times_by_git(repository):
    for name in repository.git("ls-files").splitlines():
        (repository.folder / name).unlink()
    repository.git("checkout", "--quiet", ".")


def move(repository):
    """The repository lies elsewhere from now on."""
    repository.folder = repository.folder.rename(repository.folder.with_name("moved"))


def branch_and_back(repository):
    repository.git("checkout", "--quiet", "-b", "experiment")
    repository.edit(CONFIG, *KL)
    repository.append(f"{CORE}/training/trainer.py")
    repository.commit("an experiment")
    repository.git("checkout", "--quiet", "-")


def edit_and_revert(repository):
    repository.append(f"{CORE}/training/trainer.py")
    repository.git("checkout", "--quiet", ".")


def edit_plan_and_revert(repository):
    repository.append(f"{CORE}/training/trainer.py")
    repository.edit(CONFIG, "ipo: {method: ipo, parent: sft}", "other: {method: ipo, parent: sft}")
    assert repository.plan()
    repository.git("checkout", "--quiet", ".")


def reorder_config(repository):
    """Sections of config.yaml in another order."""
    head, rest = (repository.folder / CONFIG).read_text().split("\nprobes:", 1)
    probes, report = rest.split("\nreport:", 1)
    repository.write(CONFIG, f"{head}\nreport:{report}\nprobes:{probes}\n")


def compile_modules(repository):
    """An editor or a test has left bytecode."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-m", "compileall", "-q", SCRIPTS], cwd=repository.folder, env=environment, check=True)
    assert list((repository.folder / CORE).rglob("*.pyc"))


def reword(repository):
    """Every module and script with other comments, another docstring, and formatted for narrower lines."""
    for path in (repository.folder / SCRIPTS).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text("# a comment\n" + text.replace('"""', '"""Reworded. ', 1) + "\n\n# the end\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", "--line-length", "90", SCRIPTS], cwd=repository.folder, check=True)


IN_TEXT = {
    "a comment in config.yaml": edit(CONFIG, "# Every setting of the study", "# All settings of the study"),
    "sections of config.yaml in another order": reorder_config,
    "a policy written in more lines": edit(CONFIG, "  sft: {method: sft, parent: base}\n", "  sft:\n    method: sft\n    parent: base\n"),
    "a value that changes no result": edit(CONFIG, "rerun_on_version_of: []", "rerun_on_version_of: [torch, python]"),
    "settings of a method that no policy has": edit(CONFIG, "delta: 1.0", "delta: 2.0"),
    "memory in the profile": edit("profiles/default/config.yaml", "mem_mb=4000", "mem_mb=1000"),
    "how often checkpoints are saved": edit(CONFIG, "checkpoint_percent: 5", "checkpoint_percent: 10"),
    "how a GPU decodes": edit(CONFIG, "cuda_graphs: false", "cuda_graphs: true"),
    "threads of a rule": edit(REPORT, "rule plot_shift:\n", "rule plot_shift:\n    threads: 2\n"),
    "resources of a rule": edit(
        TRAIN,
        '        **resources_of("train_base"),\n    wildcard_constraints:\n        policy=policies_of("base")',
        '        disk_mb=10,\n    wildcard_constraints:\n        policy=policies_of("base")',
    ),
    "priority of a rule": edit(REPORT, "rule plot_shift:\n", "rule plot_shift:\n    priority: 3\n"),
    "docstring of a rule": edit(TRAIN, '"""A preference method on the pairs, without a reward model."""', '"""On pairs."""'),
    "comment of a rule": edit(TRAIN, "rule train_base:\n", "# the first\nrule train_base:\n"),
    "a rule reformatted": edit(
        "rules/extract.smk",
        '    params:\n        config=config_params("probes.memorized_distance"),\n        chains=',
        '    params:\n        config = config_params("probes.memorized_distance"), chains=',
    ),
    "log of a rule": edit(TRAIN, BASE_LOG, BASE_LOG.replace("train_base", "base")),
    "a benchmark for a rule": edit(REPORT, SHIFT_LOG, SHIFT_TIMES),
    "a comment in the Snakefile": lambda repository: repository.append("Snakefile", "\n# the end\n"),
    "a module that nothing imports": lambda repository: repository.write(f"{CORE}/other.py", "X = 1\n"),
    "the code that decides what runs": both(note(f"{CORE}/freshness/record.py"), note(f"{CORE}/job.py")),
    "mode of a script": lambda repository: (repository.folder / SCRIPTS / "train_ppo.py").chmod(0o755),
    "tests and README": both(note("README.md"), note("tests/conftest.py")),
    "comments, docstrings and formatting of modules": lambda repository: reword(repository),
    "a script saved with the line ends of Windows": lambda r: (r.folder / PLOT).write_bytes(
        (r.folder / PLOT).read_bytes().replace(b"\n", b"\r\n")
    ),
    "the registry of methods": note(f"{CORE}/methods.py"),
}
ON_DISK = {
    "a second run": nothing,
    "all files touched": touch_all,
    "times reset by git": reset_times_by_git,
    ".snakemake deleted": remove(".snakemake"),
    ".canaryflow deleted": remove(".canaryflow"),
    "snakemake --touch": lambda repository: repository.run("--touch"),
    "a branch and back": branch_and_back,
    "edit and revert": edit_and_revert,
    "edit, dry run and revert": edit_plan_and_revert,
    "the repository moved": move,
    "all of it at once": lambda repository: [change(repository) for change in [*IN_TEXT.values(), compile_modules, touch_all]],
    "logs deleted": remove("logs"),
    "a checkpoint deleted that nothing needs any more": remove(f"{RESULTS}/models/A/0/ppo"),
    "bytecode of the modules": compile_modules,
    "results behind a link": lambda r: (
        (r.folder / "results").rename(r.folder.with_name("big disk")),
        (r.folder / "results").symlink_to(r.folder.with_name("big disk")),
    ),
}
CHANGES = {title: (change,) for title, change in {**ON_DISK, **IN_TEXT}.items()}


@pytest.mark.parametrize("change", rows(CHANGES, always=7))
def test_nothing_to_do(repository, change):
    change(repository)
    assert repository.execute() == set()


def test_dry_run_leaves_git_clean(repository):
    repository.edit(CONFIG, *KL)
    before = repository.git("status", "--porcelain")
    assert repository.plan() and repository.git("status", "--porcelain") == before == f" M {CONFIG}\n"


def test_clone_with_copied_results(repository, tmp_path):
    repository.git("clone", "--quiet", str(repository.folder), str(tmp_path / "clone"))
    clone = Repository(tmp_path / "clone")
    shutil.copytree(repository.folder / "results", clone.folder / "results", copy_function=shutil.copyfile, dirs_exist_ok=True)
    assert clone.execute() == set() and clone.git("status", "--porcelain") == ""
    clone.append(f"{SCRIPTS}/train_ipo.py")
    assert clone.plan() == stages.behind(stages.dag(), "train_ipo-*")


@pytest.mark.slow
def test_repository_reached_by_a_link(repository, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(repository.folder)
    arguments = ["--snakefile", str(link / "Snakefile"), "--directory", str(link)]
    assert repository.plan(*arguments) == set()
    repository.append(f"{SCRIPTS}/plot_shift.py")
    assert repository.plan(*arguments) == {"plot_shift", "render_report"} == repository.execute(*arguments)
    assert repository.execute() == set()


def test_overlay_that_says_what_holds_anyway(repository):
    assert repository.plan(overlay={"report": {"confidence": 0.95}, "policies": {"ppo": {"kl_coef": 0.05}}}) == set()


def test_another_profile_decides_the_same(repository):
    assert repository.plan("--workflow-profile", "profiles/gpu") == set()
