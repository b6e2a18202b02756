"""What tests do with a `model.base`: check it as a run does before its first job, load it, make its tokenizer."""

from pathlib import Path

import pytest
import torch

from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import models
from workflow_scripts.core.lm.model_files import check_model

IDS = torch.arange(5, 40)[None]


def check(base, **options) -> None:
    check_model(base=str(base), revision=None, trust_remote_code=False, context=64, **options)


def load(base):
    return models.load_pretrained(base=str(base), revision=None, trust_remote_code=False, context=64)


def made(base, folder: Path) -> dict:
    """What the tokenizer job says of a base model."""
    tokenizer.make(model=dict(base=str(base), revision=None, trust_remote_code=False, context=64), texts=[], path=folder)
    return tokenizer.read_about(folder)


def refused(base, said: str, **options) -> None:
    with pytest.raises(InputError) as error:
        check(base, **options)
    sentence = str(error.value)
    assert said in sentence and sentence.startswith("model.base: ") and "; " in sentence and "\n" not in sentence, sentence


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits
