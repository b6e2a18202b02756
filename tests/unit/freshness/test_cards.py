"""Cards that this machine need not have: CUDA_VISIBLE_DEVICES names them."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness.cards import _ALLOCATIONS, VISIBLE, own_cards

HOLD = f"""
import os, sys
from workflow_scripts.core.freshness.cards import own_cards
with own_cards(int(sys.argv[1])):
    print(os.environ["{VISIBLE}"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    """job(count): a process that holds cards out of 4, 7 and a UUID until its input ends."""
    for name in _ALLOCATIONS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VISIBLE, "4, 7,GPU-1f")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = []

    def start(count: int) -> subprocess.Popen:
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(subprocess.Popen([sys.executable, "-c", HOLD, str(count)], cwd=ROOT, **pipes))
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


def test_the_variable_is_as_before_afterwards(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in _ALLOCATIONS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VISIBLE, "0,1")
    with own_cards(1):
        assert os.environ[VISIBLE] == "0"
    assert os.environ[VISIBLE] == "0,1"


@pytest.mark.parametrize("cards", ["", "-1"])
def test_without_cards_nothing_is_held(monkeypatch, cards):
    monkeypatch.setenv(VISIBLE, cards)
    with own_cards(1):
        assert os.environ[VISIBLE] == cards


@pytest.mark.parametrize("scheduler", _ALLOCATIONS)
def test_jobs_of_one_allocation_share_its_cards_out_and_two_allocations_count_alike(job, monkeypatch, scheduler):
    monkeypatch.setenv(scheduler, "17")
    assert job(1).stdout.readline() == "4\n" and job(2).stdout.readline() == "7,GPU-1f\n"
    monkeypatch.setenv(scheduler, "18[1]/a")
    assert job(3).stdout.readline() == "4,7,GPU-1f\n"


def test_more_cards_than_there_are_is_said(monkeypatch):
    for name in _ALLOCATIONS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VISIBLE, "0,1")
    with pytest.raises(InputError, match="asks for 3 GPUs and 2 can be seen; lower"), own_cards(3):
        pass


def test_a_card_that_another_user_held_before_can_be_held(tmp_path, monkeypatch):
    """Some systems refuse to open a file of somebody else's in /tmp as one to be made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in _ALLOCATIONS:
        monkeypatch.delenv(name, raising=False)
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
