"""LoRA trains only its additions, and leaves behind an ordinary model with the same logits."""

import copy

import torch

from tests.unit.small import session
from tests.unit.training.architectures import tiny
from workflow_scripts.core.methods import Lora, Sft
from workflow_scripts.core.training import lora, models, packing, sft

PROMPTS = [([3, 4, 5], [[6, 7]]), ([8, 9], [[1, 2, 3]])]


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return packing.logits(model.eval(), packing.pack(PROMPTS))


def test_additions_begin_with_no_effect_and_only_they_are_trained(small):
    torch.manual_seed(0)
    model = copy.deepcopy(small[2])
    before, weights = logits(model), copy.deepcopy(model.state_dict())
    adapted = lora.adapted(model, r=4, alpha=8.0)
    assert torch.equal(logits(adapted), before)
    trained = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    layers = model.config.num_hidden_layers
    assert len(trained) == layers * 7 * 2 and all("lora_" in name for name in trained), "A and B of seven linear layers in each block"
    rows = [dict(prompt_ids=[3 + i, 4], target_ids=[10 + i, 11]) for i in range(16)]
    sft.train(model=adapted, rows=rows, session=session(Sft, epochs=3, learning_rate=1e-2))
    after = {name.replace(".base_layer", ""): x for name, x in adapted.state_dict().items() if "lora_" not in name}
    assert after.keys() == weights.keys() and all(torch.equal(after[name], x) for name, x in weights.items())
    assert not torch.allclose(logits(adapted), before, atol=1e-3)


def test_the_merged_model_gives_what_the_adapted_one_gave_and_is_saved_as_any_other(small, tmp_path):
    torch.manual_seed(0)
    model = copy.deepcopy(small[2])
    names = list(model.state_dict())
    adapted = lora.adapted(model, r=4, alpha=8.0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    before = logits(adapted)
    merged = lora.merged(adapted)
    assert list(merged.state_dict()) == names and all(p.requires_grad for p in merged.parameters())
    assert torch.allclose(logits(merged), before, atol=1e-5)
    merged.save_pretrained(tmp_path)
    assert torch.allclose(logits(models.load_policy(tmp_path)), before, atol=1e-5)


def test_training_learns_the_targets_and_counts_what_it_trained(small):
    torch.manual_seed(0)
    model = copy.deepcopy(small[2])
    with torch.no_grad():
        model.lm_head.weight.mul_(20)  # the head is not trained, and fresh it is too small to prefer any token much
    rows = [dict(prompt_ids=[3 + i, 4], target_ids=[10 + i, 11]) for i in range(16)]
    record = lora.train(model=model, rows=rows, session=session(Lora, epochs=60, learning_rate=1e-2, lora_r=8, lora_alpha=16.0))
    losses = [row["loss"] for row in record["history"] if "loss" in row]
    assert losses[-1] < losses[0] / 2
    size, inner, layers = model.config.hidden_size, model.config.intermediate_size, model.config.num_hidden_layers
    assert record["trained"] == layers * 8 * (4 * 2 * size + 3 * (size + inner)), "rank times inputs and outputs of each linear layer"
    assert record["steps"] == 240 and record["tokens"] == 16 * 4 * 60


def test_a_model_of_fused_experts_is_adapted_but_for_them_and_merged():
    model = tiny("mixtral")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lora.adapted(model, r=2, alpha=4.0)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained and not any("experts" in name for name in trained)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * p.requires_grad)
    expected = model(torch.tensor([[5, 6, 7]])).logits
    after = lora.merged(model).state_dict()
    assert after.keys() == before.keys() and not torch.equal(
        after["model.layers.0.self_attn.q_proj.weight"], before["model.layers.0.self_attn.q_proj.weight"]
    )
    assert torch.allclose(model(torch.tensor([[5, 6, 7]])).logits, expected, atol=1e-4)
