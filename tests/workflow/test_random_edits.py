"""Random sequences of edits and reverts: after each of them, what would run is what the hand-written graph says.

Some steps really run, where no training follows; from then on the stages that ran are judged by what they were made with.
"""

import os
import random
import time
from fnmatch import fnmatchcase

import pytest

from tests.workflow import stages
from tests.workflow.repository import Repository
from tests.workflow.scenarios import CONFIG, CORE, KL, RATE, SCRIPTS

INSIDE = "with job(snakemake) as j:\n"
CHEAP = ("summarize_", "plot_", "render_")  # stages that run for seconds
OVER_ALL = f"{stages.OF_POLICIES} plot_workflow plot_shift"
IPO, CHOSEN = "  ipo: {method: ipo, parent: sft}\n", "  sft_chosen: {method: sft, parent: sft, data: preference}\n"

EDITS = {  # title: (file, old text, new text, the stages that it makes stale themselves)
    "confidence": (CONFIG, "confidence: 0.95", "confidence: 0.9", stages.OF_INTERVALS),
    "collapse": (CONFIG, "perplexity_ratio: 1.5 ", "perplexity_ratio: 3.0 ", "summarize_utility summarize_ladder plot_frontier"),
    "distance": (CONFIG, "memorized_distance: 0.1", "memorized_distance: 0.2", "probe_policy-* collect_extraction-*"),
    "kl": (CONFIG, *KL, "train_ppo-*"),
    "beta": (CONFIG, "beta: 0.5}   # beta is", "beta: 0.6}   # beta is", "train_ipo-*"),
    "temperature": (CONFIG, "is rejected\n  temperature: 1.0", "is rejected\n  temperature: 0.5", "sample_preferences-*"),
    "rate": (CONFIG, *RATE, "train_reward_single-*"),
    "without ipo": (CONFIG, IPO, "  # without ipo\n", OVER_ALL),
    "one more": (CONFIG, CHOSEN, CHOSEN + "  more: {method: ppo, parent: sft_chosen}\n", OVER_ALL),
    "ppo script": (f"{SCRIPTS}/train_ppo.py", INSIDE, f"NOTED = True\n{INSIDE}", "train_ppo-*"),
    "shift script": (f"{SCRIPTS}/plot_shift.py", INSIDE, f"NOTED = True\n{INSIDE}", "plot_shift"),
    "sft module": (
        f"{CORE}/training/sft.py",
        "from . import packing\n",
        "from . import packing\n\nNOTED = True\n",
        "train_base-* train_sft-*",
    ),
    "style module": (f"{CORE}/results/figures/style.py", "import matplotlib\n", "import matplotlib\n\nNOTED = True\n", "plot_*"),
    "cost module": (f"{CORE}/results/tables/cost.py", "\n\n\ndef by_rule(", "\n\n\nNOTED = True\n\n\ndef by_rule(", "summarize_cost"),
    "a docstring": (f"{CORE}/lm/packing.py", '"""Batches without padding', '"""Reworded', ""),
    "shift param": ("rules/report.smk", "        later=LATER,\n", "        later=[*LATER],\n        dpi=9,\n", "plot_shift"),
    "template": (f"{CORE}/results/pages/templates/report.html.j2", "</html>", "</html>\n<!-- end -->", "render_report"),
}
SHOWN = {CONFIG, f"{CORE}/results/tables/cost.py"}  # what the report and the summary show or import


def touch_some(repository, dice):
    for path in sorted((repository.folder / "results").rglob("*")) + sorted((repository.folder / SCRIPTS).rglob("*")):
        if dice.random() < 0.3:
            when = dice.uniform(0, time.time() + 1e8)
            os.utime(path, (when, when))


DISTURBANCES = {
    "touch": touch_some,
    "forget .snakemake": lambda repository, dice: repository.remove(".snakemake"),
    "forget .canaryflow": lambda repository, dice: repository.remove(".canaryflow"),
    "commit": lambda repository, dice: repository.commit("a step"),
}


class Expected:
    """A model of the repository: which edits are on, and with which of them each stage was made."""

    def __init__(self):
        self.on: set[str] = set()
        self.made_with = {job: frozenset() for job in stages.dag()}

    def reads(self) -> dict:
        policies = {name: entry for name, entry in stages.POLICIES.items() if name != "ipo" or "without ipo" not in self.on}
        return stages.dag({**policies, "more": ("ppo", "sft_chosen")} if "one more" in self.on else policies)

    def touching(self, job: str, edits) -> set[str]:
        """Those of the edits that a stage itself depends on."""
        named = {e for e in edits if any(fnmatchcase(job, pattern) for pattern in EDITS[e][3].split())}
        shown = set(edits) - ({"beta"} if "without ipo" in edits else set())  # a page shows no settings of a method that no policy has
        return named | {e for e in shown if job.startswith("render_") and EDITS[e][0] in SHOWN}

    def jobs(self) -> set[str]:
        reads = self.reads()
        stale = {j for j in reads if j not in self.made_with or self.touching(j, self.on) != self.touching(j, self.made_with[j])}
        return stages.closure(reads, stale)

    def ran(self, jobs: set[str]) -> None:
        self.made_with |= {job: frozenset(self.on) for job in jobs}


def switch(repository: Repository, expected: Expected, title: str) -> None:
    """Make an edit, or take it back."""
    file, old, new, _ = EDITS[title]
    repository.edit(file, *((new, old) if title in expected.on else (old, new)))
    expected.on ^= {title}


def walk(repository: Repository, seed: int, steps: int, runs: int) -> None:
    dice, expected = random.Random(seed), Expected()
    for _ in range(steps):
        chosen = dice.sample(sorted(EDITS), dice.choice((1, 1, 2, 3)))
        if dice.random() < 0.4:  # think better of all that trains
            chosen = sorted(title for title in expected.on if not EDITS[title][3].startswith(CHEAP))
        for title in chosen:
            switch(repository, expected, title)
        if dice.random() < 0.5:
            DISTURBANCES[dice.choice(sorted(DISTURBANCES))](repository, dice)
        jobs = expected.jobs()
        if runs and jobs and all(job.startswith(CHEAP) for job in jobs):
            assert repository.execute() == jobs, (seed, expected.on)
            expected.ran(jobs)
            runs -= 1
        else:
            assert repository.plan() == jobs, (seed, expected.on)


def test_a_short_walk(repository):
    walk(repository, seed=3, steps=4, runs=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_long_walk(repository, seed):
    walk(repository, seed=100 + seed, steps=12, runs=3)
