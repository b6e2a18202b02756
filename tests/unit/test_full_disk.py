"""A disk that fills up under a job, whatever writes to it: one sentence that blames nothing else, and nothing half-written."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from matplotlib.figure import Figure

from tests.conftest import mounted
from tests.unit.small import session
from tests.unit.test_job import root_logging, stand_in, tree  # noqa: F401  # the first leaves logging as it was
from workflow_scripts import artifacts
from workflow_scripts.core import parquet
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.errors import InputError, of_full_disk
from workflow_scripts.core.job import job
from workflow_scripts.core.lm import models
from workflow_scripts.core.methods import Sft
from workflow_scripts.core.training import checkpoints, sft

TEXT = parquet.declare("texts", text=pa.string())
BIG = "x" * (1 << 18)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 64 kB, which the toy model does not fit on."""
    yield from mounted(tmp_path / "disk", "64k")


def save_model(out: Path, small, small_tokenizer) -> None:
    models.save(model=small[2], tokenizer_path=small_tokenizer, path=out, meta={})


def save_beside_weights(out: Path, small, small_tokenizer) -> None:
    """The tokenizer's files are copied, and no longer fit; they lie on a disk that has room."""
    folder = small_tokenizer.with_name("larger")
    shutil.copytree(small_tokenizer, folder, dirs_exist_ok=True)
    (folder / "added.json").write_text(BIG)
    shape = dict(hidden=2, layers=1, heads=1, intermediate=2)
    model = models.create_scratch(vocabulary=9, context=8, fim=small[1], **shape)
    models.save(model=model, tokenizer_path=folder, path=out, meta={})


def save_checkpoint(out: Path, small, _) -> None:
    """The library's trainer writes weights and optimizer."""
    fim, model = small[1], small[2]
    rows = sft.completion_rows([dict(prompt_ids=[3 + i, 4], target_ids=[10 + i, 11]) for i in range(16)], fim)
    sft.train(model=model, rows=rows, session=session(Sft, checkpoints=checkpoints.Checkpoints(str(out), 5)))


def save_optimizer(out: Path, small, _) -> None:
    out.mkdir()
    torch.save({"state": torch.ones(1 << 16)}, out / "optimizer.pt")


def save_state(out: Path, small, _) -> None:
    out.mkdir()
    parameters = dict(small[2].named_parameters())
    checkpoints.save_state(out, parameters=parameters, optimizer=torch.optim.AdamW(parameters.values()), record={})


def save_tokenizer(out: Path, *_) -> None:
    texts = [random.Random(i).randbytes(40).hex().translate(str.maketrans("0123456789", "ghijklmnop")) for i in range(1000)]
    tokenizer.make(model=dict(base="scratch", vocabulary=4000, context=64), texts=texts, path=out)


def save_rows(out: Path, *_) -> None:
    parquet.write(({"text": os.urandom(2000).hex()} for _ in range(300)), TEXT, out)


def save_json(out: Path, *_) -> None:
    out.write_text(BIG, encoding="utf-8")


def save_png(out: Path, *_, form: str = "png") -> None:
    figure = Figure(figsize=(12, 12))
    figure.subplots().imshow([[os.urandom(1)[0] for _ in range(200)] for _ in range(200)], interpolation="none")
    figure.savefig(out, format=form)


def save_svg(out: Path, *_) -> None:
    save_png(out, form="svg")


WRITERS = [
    save_model,
    save_beside_weights,
    save_checkpoint,
    save_optimizer,
    save_state,
    save_tokenizer,
    save_rows,
    save_json,
    save_png,
    save_svg,
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_full_disk_is_one_sentence_and_leaves_nothing(write, small_disk, small, small_tokenizer, capfd):
    script = stand_in(small_disk, params={}, resources={})
    capfd.readouterr()
    with pytest.raises(SystemExit) as stopped, job(script) as j:
        write(Path(j.output.model), small, small_tokenizer)
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("canaryflow")]
    assert stopped.value.code == 1 and len(said) == 1
    assert said[0].startswith("canaryflow: train_sft-A-0: no space left on the device for ") and "; free some and run again" in said[0]
    assert str(small_tokenizer.parent) not in said[0], "what is read is not to blame"
    assert tree(small_disk / "out") == {}


def test_what_was_made_of_the_error_on_the_way_does_not_hide_it(small_disk):
    with pytest.raises(InputError) as wrapped:
        try:
            (small_disk / "cache").write_text(BIG)
        except OSError as e:
            raise InputError("corpus.path: the data set 'a/b' could not be loaded; check its name") from e
    assert of_full_disk(wrapped.value).startswith("no space left on the device for ")
    assert of_full_disk(InputError("corpus.path: no such folder; name another")) is None


def test_a_command_of_save_on_a_full_disk(small_disk, tmp_path, capfd):
    (tmp_path / "big").write_text(BIG)
    with pytest.raises(InputError, match=r"^no space left on the device for the output; free some"):
        artifacts._call("cp", str(tmp_path / "big"), str(small_disk / "copy"))
    with pytest.raises(InputError, match=r"^`cp .*` failed; its message is above$"):
        artifacts._call("cp", str(tmp_path / "nothing"), str(small_disk / "copy"))
    assert "No such file" in capfd.readouterr().err
