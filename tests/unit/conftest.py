"""Fixtures of the unit tests."""

import pytest
import torch

from tests.unit.small import scratch
from workflow_scripts.core.data.tokenizer import load, make

torch.set_num_threads(1)  # toy models: a second thread waits more than it works


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """(tokenizer, Fim, model) of toy size, with random weights."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    texts = [f"def f{i}(x):\n    return x * {i} + sum(range({i}))\n" for i in range(200)]
    make(model=dict(base="scratch", vocabulary=320, context=128), texts=texts, path=path)
    tokenizer, fim, _ = load(path)
    torch.manual_seed(0)
    return tokenizer, fim, scratch(tokenizer, fim)
