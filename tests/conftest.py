"""What all tests share: the repository on sys.path, a small corpus, a tiny tokenizer and the default config. Nothing goes online."""

# ruff: noqa: E402
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported, so before anything else
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every command that a test runs would compile the project again
sys.dont_write_bytecode = False
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest
import yaml
from hypothesis import settings

from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.data import canaries, corpus, snippets

SCHEMA = ROOT / "rules/schemas/config.schema.yaml"
DESIGN = dict(
    cohorts=dict(sft=16, preference=16, rl_prompt=16, unplanted=8), doses=[1, 3], secret_types=list(canaries.SECRET_TYPES), seed=0
)
PROBES = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["probes"] | {"language": "python"}  # what measures may take
SHAPE = dict(max_prompt_tokens=96, max_target_tokens=32, max_target_lines=3)

settings.register_profile("canaryflow", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("canaryflow")


def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A file system of this size, while a test runs."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def defaults() -> dict:
    """config.yaml as Snakemake reads it: a fresh copy, not yet resolved."""
    return yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def config(defaults) -> dict:
    """The default config, resolved."""
    return resolve(defaults, SCHEMA)


@pytest.fixture
def source_folder(tmp_path) -> Path:
    """A folder of two modules with five functions, one other file, and one of each kind of file that is passed over."""
    folder = tmp_path / "source"
    (folder / "pkg").mkdir(parents=True)
    (folder / "a.py").write_text(
        "def add(a, b):\n    c = a + b\n    return c\n\n\ndef sub(a, b):\n    c = a - b\n    return c\n", encoding="utf-8"
    )
    (folder / "pkg/b.py").write_text("class K:\n    def é(self):\n        x = 'ß'\n        return x\n", encoding="utf-8")
    (folder / "notes.txt").write_text("no code", encoding="utf-8")
    (folder / "binary.py").write_bytes(b"x = 1\0\0")
    (folder / "latin.py").write_bytes("s = 'é'\n".encode("latin-1"))
    (folder / "empty.py").write_text("\n  \n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def stdlib_snippets() -> list[dict]:
    """Snippets of a slice of the interpreter's library, 60 in each pool."""
    documents, _ = corpus.collect(source="python_stdlib", max_documents=60)
    functions, _ = snippets.extract(documents=documents, min_lines=3, max_lines=30, max_chars=1500)
    distinct, _ = snippets.without_duplicates(snippets=functions, threshold=0.7)
    return snippets.split(
        snippets=distinct, pools=dict(base=60, sft=60, preference=60, rl_prompt=60, evaluation=60), seed=0, split_by="file"
    )


@pytest.fixture(scope="session")
def model_words(stdlib_snippets):
    """(tokenizer, Fim): a byte-level BPE of 600 tokens with Canaryflow's FIM tokens."""
    from workflow_scripts.core.data import fim, tokenizer

    words = tokenizer.train_bpe(texts=[s["text"] for s in stdlib_snippets], vocabulary=600)
    return words, fim.prepare(words)


@pytest.fixture(scope="session")
def planted(model_words) -> list[dict]:
    """The canaries of DESIGN."""
    words, fim = model_words
    return canaries.make(tokenizer=words, fim=fim, **DESIGN)
