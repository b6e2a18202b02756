"""The README's other road: an adapter of a pretrained model of another family taken as it is, and code from a folder of one's own."""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

from workflow_scripts.core import parquet
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.lm import models
from workflow_scripts.core.probing import schemas


def pretrained(folder: Path) -> Qwen2ForCausalLM:
    """A toy model of the Qwen family with its FIM tokens, saved as a hub would hold it."""
    texts = [f"def f{i}(x):\n    return x + {i}\n" for i in range(99)]
    tokenizer.make(model=dict(base="scratch", vocabulary=400, context=320), texts=texts, path=folder)
    (folder / tokenizer.FIM_FILE).unlink()
    torch.manual_seed(0)
    shape = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=400, max_position_embeddings=320, **shape))
    model.save_pretrained(folder)
    return model


def adapted(base: Path, folder: Path) -> Path:
    """A LoRA adapter of that model, which changes what it computes."""
    wrapped = get_peft_model(Qwen2ForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    wrapped.save_pretrained(folder)
    return folder


def own_code(folder: Path) -> None:
    """Real modules in a package, one that does not parse, and one that is not UTF-8."""
    folder.mkdir(parents=True)
    for path in sorted(Path(json.__file__).parents[1].glob("*.py"))[:40]:
        shutil.copy(path, folder / path.name)
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "latin.py").write_bytes("# café\n".encode("latin-1"))


def test_chain_from_a_pretrained_model_on_code_from_a_folder(workflow):
    base = pretrained(workflow.folder / "pretrained")
    adapter = adapted(workflow.folder / "pretrained", workflow.folder / "adapter")
    own_code(workflow.folder / "code" / "package")
    overlay = {
        "corpus": {"source": "directory", "path": str(workflow.folder / "code"), "licence": "ours", "max_documents": None},
        "model": {"base": str(adapter)},
        "methods": {"base": {"epochs": 0}},
    }
    result = workflow("results/tiny/probes/A/0/ppo/canaries.parquet", overlay=overlay)
    assert result.returncode == 0, result.stderr[-3000:]
    results = workflow.folder / "results/tiny"

    manifest = json.loads((results / "corpus/manifest.json").read_text())
    skipped = {s["path"]: s["reason"].split(":")[0] for s in manifest["skipped"]}
    assert skipped == {"package/broken.py": "no Python, line 1", "package/latin.py": "binary or not UTF-8"}
    assert manifest["licence"] == "ours" and manifest["counts"]["documents"] == 41 and manifest["counts"]["not_parsable"] == 1

    about = json.loads((results / "tokenizer/fim.json").read_text())
    assert about["style"] == "qwen-coder" and about["origin"] == {"adapters": [str(adapter)], "base": str(workflow.folder / "pretrained")}
    assert json.loads((results / "models/shared/0/base/meta.json").read_text())["origin"] == about["origin"]
    kept, ppo = (models.load_policy(results / "models" / name) for name in ("shared/0/base", "A/0/ppo"))
    merged = PeftModel.from_pretrained(base, adapter).merge_and_unload()
    weights = [m.model.layers[0].mlp.up_proj.weight for m in (merged, kept, ppo)]
    assert isinstance(ppo, Qwen2ForCausalLM) and torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert all(r["target_logprob"] < 0 for r in parquet.read_rows(results / "probes/A/0/ppo/canaries.parquet", schemas.PROBED_CANARIES))

    (workflow.folder / "pretrained/config.json").write_text((workflow.folder / "pretrained/config.json").read_text() + "\n")
    said = workflow("-n", "results/tiny/models/shared/0/base", overlay=overlay)
    assert "train_base-tiny-0-base is stale: input" in said.stdout + said.stderr, said.stderr[-3000:]
