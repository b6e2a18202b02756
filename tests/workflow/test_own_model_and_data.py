"""The README's other road: a local pretrained model taken as it is, and code from a folder of one's own."""

import json
import shutil
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from workflow_scripts.core import schemas
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.training import models


def test_local_model_on_code_from_a_folder(workflow):
    code = workflow.folder / "code"
    (code / "package").mkdir(parents=True)
    for path in sorted(Path(json.__file__).parents[1].glob("*.py"))[:40]:
        shutil.copy(path, code / "package" / path.name)
    (code / "package" / "broken.py").write_text("def f(:\n")
    (code / "package" / "latin.py").write_bytes("# café\n".encode("latin-1"))
    tokenizer.make(
        model=dict(base="scratch", vocabulary=400, context=320),
        texts=["def f(x):\n    return x\n"] * 9,
        path=workflow.folder / "pretrained",
    )
    torch.manual_seed(0)
    own = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=400, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=320
        )
    )
    own.save_pretrained(workflow.folder / "pretrained")
    overlay = {
        "corpus": {"source": "directory", "path": str(code), "licence": "ours", "max_documents": None},
        "model": {"base": str(workflow.folder / "pretrained")},
        "kinds": {"base": {"epochs": 0}},
    }
    result = workflow("results/tiny/models/A/0/sft", overlay=overlay)
    assert result.returncode == 0, result.stderr[-3000:]
    manifest = json.loads((workflow.folder / "results/tiny/corpus/manifest.json").read_text())
    assert {s["path"]: s["reason"].split(":")[0] for s in manifest["skipped"]} == {
        "package/broken.py": "SyntaxError",
        "package/latin.py": "binary or not UTF-8",
    }
    assert manifest["licence"] == "ours" and manifest["counts"]["documents"] == 41
    base, sft = (models.load_policy(workflow.folder / "results/tiny/models" / name) for name in ("shared/0/base", "A/0/sft"))
    assert torch.equal(base.model.layers[0].mlp.up_proj.weight, own.model.layers[0].mlp.up_proj.weight)
    assert not torch.equal(sft.model.layers[0].mlp.up_proj.weight, own.model.layers[0].mlp.up_proj.weight)
    assert schemas.read_rows(workflow.folder / "results/tiny/planted/audit.parquet", "audit")
