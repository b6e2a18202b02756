"""Fixtures of the unit tests."""

from pathlib import Path

import pytest
import torch

from tests.unit.small import scratch
from workflow_scripts.core.data.tokenizer import load, make

torch.set_num_threads(1)  # toy models: a second thread waits more than it works


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory) -> Path:
    """The folder of a tokenizer of 320 tokens, as a run has it."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    texts = [f"def f{i}(x):\n    return x * {i} + sum(range({i}))\n" for i in range(200)]
    make(model=dict(base="scratch", vocabulary=320, context=128), texts=texts, path=path)
    return path


@pytest.fixture(scope="session")
def small(small_tokenizer):
    """(tokenizer, Fim, model) of toy size, with random weights."""
    tokenizer, fim, _ = load(small_tokenizer)
    torch.manual_seed(0)
    return tokenizer, fim, scratch(tokenizer, fim)


@pytest.fixture(scope="session")
def small_checkpoint(small, tmp_path_factory) -> str:
    """The toy model as a checkpoint, from which policies and reward models start."""
    path = tmp_path_factory.mktemp("checkpoint")
    small[2].save_pretrained(path)
    return str(path)
