"""SIGKILL at any moment: nothing half-made counts as done, and what comes of it in the end is what an undisturbed run gives."""

import os
import random
import time
from dataclasses import dataclass

import pytest

from tests.workflow import stages
from tests.workflow.repository import Repository
from tests.workflow.scenarios import CONFIG, RESULTS

BETA = ("beta: 0.5}   # beta is", "beta: 0.1}   # beta is")
CHAINS = {  # name: (the edit, what is asked for, the job that makes that, what the edit makes stale)
    "tables": (("confidence: 0.95", "confidence: 0.9"), (), None, stages.OF_INTERVALS),
    "ipo": (BETA, (f"{RESULTS}/extraction/ipo.parquet",), "collect_extraction-ipo", "train_ipo-*"),
    "training": (BETA, (f"{RESULTS}/models/A/0/ipo",), "train_ipo-A-0-ipo", "train_ipo-*"),
}
KILLS = {"the job": "kill_jobs", "snakemake": "kill_snakemake", "both": "kill_all"}


@dataclass(frozen=True)
class Undisturbed:
    """The same edit and run without a kill."""

    products: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(finished, tmp_path_factory):
    """A function of the chain's name, that runs each of them once."""
    known: dict[str, Undisturbed] = {}

    def of(chain: str) -> Undisturbed:
        if chain not in known:
            edit, targets, last, stale = CHAINS[chain]
            repository = finished.fork(tmp_path_factory.mktemp("undisturbed") / "canaryflow")
            repository.edit(CONFIG, *edit)
            since, dag = time.monotonic(), stages.dag()
            expected = stages.behind(dag, stale) & (stages.before(dag, last) if last else set(dag))
            assert repository.execute(*targets) == expected
            known[chain] = Undisturbed(repository.products(), time.monotonic() - since)
            assert known[chain].products != finished.products()
        return known[chain]

    return of


def killed(repository: Repository, chain: str, kill: str, wait: float) -> None:
    """Start the run, kill a part of it after a while, and run again as a user would; returns when nothing of it is alive."""
    edit, targets, _, _ = CHAINS[chain]
    repository.edit(CONFIG, *edit)
    started = repository.start(*targets)
    try:
        time.sleep(wait)
        getattr(started, KILLS[kill])()
        if kill == "the job":
            started.wait()
        repository.run("--unlock")
        run = repository.run(*targets)
        if run.status and kill == "snakemake":  # its job was still at work; without a lock of ours two would be
            assert run.sentences and all("another process is still running it" in said for said in run.sentences), run.said
            started.wait_for_orphans()
            run = repository.run(*targets)
        assert run.status == 0, run.said
        started.wait_for_orphans()
    finally:
        started.kill_all()


@pytest.mark.slow
@pytest.mark.parametrize("chain", CHAINS)
def test_killed_again_and_again(repository, undisturbed, chain):
    """Ten kills in one run, each at another moment; every start goes on from what the one before has left."""
    dice = random.Random(chain)
    edit, targets, _, _ = CHAINS[chain]
    repository.edit(CONFIG, *edit)
    for _ in range(10):
        started = repository.start(*targets)
        time.sleep(dice.uniform(0.1, 1.0) * undisturbed(chain).seconds)
        started.kill_all()
        repository.run("--unlock")
    repository.run(*targets)
    assert repository.execute(*targets) == set() and repository.products() == undisturbed(chain).products


def cases(chain: str, numbers: range):
    """Which part is killed and when, as a share of the undisturbed time, drawn from the case's number."""
    for number in numbers:
        dice = random.Random(f"{chain} {number}")
        yield pytest.param(chain, list(KILLS)[number % 3], dice.uniform(0.1, 1.0), id=f"{chain}-{number}")


KILL_COUNT = int(os.environ.get("CANARYFLOW_TEST_KILLS", "28"))  # in the slow half; more of them find rarer moments
ALWAYS = [*cases("training", range(1))]
SLOW = [*cases("ipo", range(KILL_COUNT // 2)), *cases("tables", range(KILL_COUNT - KILL_COUNT // 2))]


@pytest.mark.parametrize(("chain", "kill", "share"), [*ALWAYS, *(pytest.param(*c.values, id=c.id, marks=pytest.mark.slow) for c in SLOW)])
def test_killed_and_run_again(repository, undisturbed, chain, kill, share):
    killed(repository, chain, kill, share * undisturbed(chain).seconds)
    assert repository.products() == undisturbed(chain).products
    assert repository.execute(*CHAINS[chain][1]) == set()
    assert not list((repository.folder / "results").rglob(".tmp-*"))
