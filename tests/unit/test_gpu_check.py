"""What `make gpu-check` does on a card, done on the CPU with a toy model: every check passes there, and one that is broken fails."""

import subprocess
import sys

import pytest
import torch

from benchmarks import gpu
from tests.conftest import ROOT
from workflow_scripts.core.lm import packing

TOY = dict(vocabulary=128, hidden=32, layers=2, heads=2, intermediate=64)


def test_every_check_passes_on_the_cpu():
    found = [*gpu.checks("cpu", TOY)]
    assert len(found) == 15 and [what for what, apart, most in found if not apart <= most] == []


def test_a_kernel_that_is_wrong_is_found(tmp_path, monkeypatch):
    path, data = gpu.written(str(tmp_path), TOY), gpu.rows(gpu.COUNT, TOY["vocabulary"])
    real = packing.logits

    def leaking(model, packed, **options):
        """As if sequences of a packed row saw each other: what lies far from the beginning is off."""
        logits = real(model, packed, **options)
        return logits if len(packed.prompts) < 8 else logits + 0.1 * torch.arange(len(logits))[:, None].clamp(max=20)

    monkeypatch.setattr(packing, "logits", leaking)
    apart = {what: apart <= most for what, apart, most in gpu.of_reading(path, data, "cpu")}
    assert apart["logits of packed rows against those of each row"] is False


def test_what_ends_one_part_does_not_end_the_others(monkeypatch):
    def of_reading(*_):
        yield "logits", 0.0, 0.0
        raise RuntimeError("no compiler\nmore")

    monkeypatch.setattr(gpu, "of_reading", of_reading)
    monkeypatch.setattr(gpu, "of_sft", lambda *_: iter([("loss", 0.0, 0.0)]))
    found = [*gpu.checks("cpu", TOY)]
    assert ("of_reading, ended by RuntimeError: no compiler", float("inf"), 0.0) in found and ("loss", 0.0, 0.0) in found


def test_without_a_card_it_says_so_and_ends_well():
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    done = subprocess.run([sys.executable, "-m", "benchmarks.gpu"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == "This machine has no CUDA device, so there is nothing to check.\n"


@pytest.mark.slow
def test_all_sides_are_timed():
    rates = dict(gpu.speeds("cpu", TOY, count=32))
    assert list(rates) == ["ours", "ours, a kernel for each part", "ours, padded rows", "a bare loop", "TRL"] and all(
        rate > 0 for rate in rates.values()
    )


def test_all_ways_to_decode_are_timed():
    rates = dict(gpu.decoding_speeds("cpu", TOY, count=4, new=8))
    assert list(rates) == ["ours", "the library's generate", "ours by CUDA graphs"] and all(rate > 0 for rate in rates.values())


def test_a_side_that_ends_in_an_error_is_said_and_the_others_are_timed(monkeypatch):
    def broken(*_):
        raise RuntimeError("out of memory\nmore")

    monkeypatch.setattr(gpu, "bare", broken)
    rates = dict(gpu.speeds("cpu", TOY, count=32))
    assert rates["a bare loop"] == "ended by RuntimeError: out of memory" and rates["ours"] > 0 and rates["TRL"] > 0


def test_a_card_that_torch_cannot_use_is_no_machine_without_a_card(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu.Path, "glob", lambda *_: iter(["/dev/nvidia0"]))
    assert gpu.check_and_time() == 1 and "cannot use this machine's card" in capsys.readouterr().out
