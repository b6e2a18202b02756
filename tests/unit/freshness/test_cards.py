"""Cards that this machine need not have: CUDA_VISIBLE_DEVICES names them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness import cards
from workflow_scripts.core.freshness.cards import _ALLOCATIONS, VISIBLE, own_cards

HOLD = f"""
import os, pathlib, sys
from workflow_scripts.core.freshness import cards
cards.LOCKS = pathlib.Path(sys.argv[2])
with cards.own_cards(int(sys.argv[1])):
    print(os.environ["{VISIBLE}"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def plain(tmp_path, monkeypatch):
    """A machine without a scheduler, whose locks nobody else holds."""
    for name in _ALLOCATIONS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cards, "LOCKS", tmp_path)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """job(count): a process that holds cards out of 4, 7 and a UUID until its input ends."""
    monkeypatch.setenv(VISIBLE, "4, 7,GPU-1f")
    started = []

    def start(count: int) -> subprocess.Popen:
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(subprocess.Popen([sys.executable, "-c", HOLD, str(count), str(tmp_path)], cwd=ROOT, **pipes))
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()


def test_no_two_jobs_share_a_card_and_one_that_is_killed_gives_its_back(job):
    first, second = job(1), None
    assert first.stdout.readline() == "4\n"
    second = job(2)
    assert second.stdout.readline() == "7,GPU-1f\n"
    third = job(2)  # waits until two are free, and holds none meanwhile
    first.kill()
    fourth = job(1)
    assert fourth.stdout.readline() == "4\n"
    fourth.stdin.close()
    second.kill()
    assert third.stdout.readline() in ("4,7\n", "7,GPU-1f\n")  # the fourth may not have ended yet


def test_a_job_that_waits_says_so_and_how_long(job):
    first, said = job(3), []
    assert first.stdout.readline()
    since = time.monotonic()

    def say(sentence: str) -> None:
        said.append(sentence)
        first.kill()

    with own_cards(2, say=say) as waited:
        assert said == ["waits until 2 of the GPUs 4, 7, GPU-1f are free"]
        assert 0 < waited <= time.monotonic() - since and os.environ[VISIBLE] == "4,7"


@pytest.mark.parametrize("card", ["GPU-5a/b", "MIG-GPU-5a/7/0", "MIG-5a"])
def test_a_card_may_have_any_name(monkeypatch, card):
    monkeypatch.setenv(VISIBLE, f"{card},1")
    with own_cards(1):
        assert os.environ[VISIBLE] == card


def test_locks_can_be_opened_by_others_whatever_my_umask(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "0")
    before = os.umask(0o077)
    try:
        with own_cards(1):
            pass
    finally:
        os.umask(before)
    assert [oct(file.stat().st_mode & 0o777) for file in Path(tmp_path).glob("*.lock")] == ["0o444"]


def test_the_variable_is_as_before_afterwards(monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1")
    with own_cards(1):
        assert os.environ[VISIBLE] == "0"
    assert os.environ[VISIBLE] == "0,1"


@pytest.mark.parametrize("cards", ["", "-1"])
def test_without_cards_nothing_is_held(monkeypatch, cards):
    monkeypatch.setenv(VISIBLE, cards)
    with own_cards(1):
        assert os.environ[VISIBLE] == cards


@pytest.mark.parametrize(("scheduler", "mark"), _ALLOCATIONS.items())
def test_jobs_of_one_allocation_share_its_cards_out_and_two_allocations_count_alike(job, monkeypatch, scheduler, mark):
    monkeypatch.setenv(mark, "there")
    monkeypatch.setenv(scheduler, "17")
    assert job(1).stdout.readline() == "4\n" and job(2).stdout.readline() == "7,GPU-1f\n"
    monkeypatch.setenv(scheduler, "18[1]/a")
    assert job(3).stdout.readline() == "4,7,GPU-1f\n"


def test_a_job_id_that_is_no_schedulers_tells_no_cards_apart(job, monkeypatch):
    monkeypatch.delenv("SGE_ROOT", raising=False)
    for number, cards_left in (("17", "4\n"), ("18", "7\n")):
        monkeypatch.setenv("JOB_ID", number)
        assert job(1).stdout.readline() == cards_left


def test_more_cards_than_there_are_is_said(monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1")
    with pytest.raises(InputError, match="asks for 3 GPUs and 2 can be seen; lower"), own_cards(3):
        pass


def test_a_card_that_another_user_held_before_can_be_held(monkeypatch):
    """Some systems refuse to open a file of somebody else's in /tmp as one to be made."""
    monkeypatch.setenv(VISIBLE, "0,1")
    real = os.open

    def protected(path, flags, *mode):
        if flags & (os.O_CREAT | os.O_RDWR) and path.exists():
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *mode)

    for mine in (os.open, protected):
        monkeypatch.setattr(os, "open", mine)
        with own_cards(1):
            assert os.environ[VISIBLE] == "0"
