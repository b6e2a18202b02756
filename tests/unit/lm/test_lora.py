"""LoRA trains its additions alone, on weights that lie in memory once, and leaves behind an ordinary model with the same outputs."""

import copy
import json
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from safetensors import safe_open

from tests.unit.lm.architectures import tiny
from tests.unit.small import changed, same, session
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import lora, models, packing, sharding
from workflow_scripts.core.methods import Dpo, Ipo, Lora, Ppo, Rloo, Sft, Single, Slic
from workflow_scripts.core.training import dpo, ipo, ppo, rewards, rloo, sft, single_reward, slic
from workflow_scripts.core.training.checkpoints import STATE_FILE, Checkpoints
from workflow_scripts.core.training.session import Session

PROMPTS = [([3, 4, 5], [[6, 7]]), ([8, 9], [[1, 2, 3]])]
SMALL = Lora(r=4, alpha=8.0)
ROLLED = dict(episodes=32, rollout_batch_size=16, mini_batch_size=8, kl_coef=0.1, max_new_tokens=6, cliprange=0.2)
OF_PPO = dict(**ROLLED, ppo_epochs=2, gamma=1.0, lam=0.95, vf_coef=0.1, whiten_rewards=False)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return packing.logits(model.eval(), packing.pack(PROMPTS))


def disturb(model) -> None:
    """Give the additions an effect."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)


@pytest.fixture
def rows() -> list[dict]:
    return [dict(prompt_ids=[3 + i, 4], target_ids=[10 + i, 11]) for i in range(16)]


@pytest.fixture
def pairs(small) -> list[dict]:
    end = small[1].end
    return [dict(prompt_ids=[3 + i, 4], chosen_ids=[20 + i, 21, end], rejected_ids=[40 + i, 41, 42, 43]) for i in range(8)]


def adapted(small_checkpoint, method: type = Sft, **settings):
    """(session, policy with additions) from one seed."""
    torch.manual_seed(0)
    opened = session(method, lora=SMALL, **settings)
    return opened, opened.load_policy(small_checkpoint)


# ------------------------------------------------------------------------------------------------------------------- additions


def test_additions_begin_with_no_effect_and_only_they_are_trained(small, small_checkpoint, rows):
    opened, model = adapted(small_checkpoint, epochs=3, learning_rate=1e-2)
    before, weights = logits(small[2]), small[2].state_dict()
    assert torch.equal(logits(model), before)
    layers = model.config.num_hidden_layers
    assert len(sharding.trained(model)) == layers * 7 * 2, "A and B of seven linear layers in each block"
    assert all("lora_" in name for name in sharding.trained(model))
    sft.train(model=model, rows=rows, session=opened)
    assert same({name.replace(".base_layer", ""): x for name, x in model.state_dict().items() if "lora_" not in name}, weights)
    assert not torch.allclose(logits(model), before, atol=1e-3)
    with lora.switched_off(model):
        assert torch.equal(logits(model), before)
    assert all(p.requires_grad for name, p in model.named_parameters() if "lora_" in name), "switched on again, they are trained"


@pytest.mark.parametrize("target", [["q_proj", "up_proj"], ["model.layers.1.mlp.down_proj"]])
def test_a_list_names_the_layers_that_get_additions(target, small):
    model = lora.adapted(copy.deepcopy(small[2]), lora=Lora(r=2, alpha=2, target=target), bf16=False, section="policies.a")
    found = {name for name, _ in model.named_modules() if any(name == t or name.endswith(f".{t}") for t in target)}
    assert {*lora.additions(model)} == found and found


def test_a_name_of_no_layer_is_one_sentence(small):
    with pytest.raises(InputError) as error:
        lora.adapted(copy.deepcopy(small[2]), lora=Lora(r=2, alpha=2, target=["q_proj", "lm_head"]), bf16=False, section="policies.a")
    assert str(error.value) == (
        "policies.a.lora.target: LlamaForCausalLM has no linear layer 'lm_head'; "
        "choose among q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"
    )


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "gpt_oss"])
def test_frozen_experts_lie_in_bf16_and_additions_learn_through_them(family):
    model = models.packed(tiny(family))
    lora.adapted(model, lora=SMALL, bf16=True, section="")
    experts = {p.dtype for name, p in model.named_parameters() if p.ndim == 3 and "experts" in name}
    disturb(model)
    with torch.autocast("cpu", torch.bfloat16):
        packing.logits(model, packing.pack(PROMPTS)).float().logsumexp(-1).sum().backward()
    assert experts == {torch.bfloat16} and all(p.grad.abs().sum() > 0 for p in sharding.trained(model).values())


def test_new_fim_tokens_that_additions_would_not_learn_are_one_sentence(small):
    lora.check_tokens(replace(small[1], style="codegen"), base="one", section="policies.base")
    with pytest.raises(
        InputError, match=r"^policies\.base\.lora: the FIM tokens are new to two, .* never learn them; set methods\.base\.lora to null"
    ):
        lora.check_tokens(replace(small[1], style="added"), base="two", section="policies.base")


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_model_that_is_only_read_in_bf16_takes_less_and_gives_the_same(family, tied, tmp_path):
    model = tiny(family)
    model.config.tie_word_embeddings = tied
    model = type(model)(model.config)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1)
    model.save_pretrained(tmp_path)
    opened = {precision: Session(settings=None, seed=0, device="cpu", precision=precision) for precision in ("fp32", "bf16")}
    whole, half = (opened[precision].load_policy(tmp_path) for precision in ("fp32", "bf16"))
    assert {p.dtype for p in whole.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in half.parameters()) and half.get_input_embeddings().weight.dtype == torch.float32
    matrices = {
        name: p for name, p in half.named_parameters() if p.ndim > 1 and not {"embed_tokens", "wte", "wpe", "lm_head"} & {*name.split(".")}
    }
    matrices = {name: p for name, p in matrices.items() if "gate" not in name.split(".")}  # a router is no linear layer
    assert matrices and {p.dtype for p in matrices.values()} == {torch.bfloat16}
    with opened["bf16"].autocast():
        expected, found = logits(whole), logits(half)
    assert torch.equal(expected, found) if family != "mixtral" else torch.allclose(expected, found, atol=0.05)


def test_layers_that_take_no_additions_are_one_sentence():
    with pytest.raises(
        InputError, match=r"^policies\.a\.lora: MambaForCausalLM takes no additions \(.*\); name other layers as lora\.target"
    ):
        lora.adapted(tiny("mamba"), lora=SMALL, bf16=False, section="policies.a")


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "deepseek_v3", "glm4_moe", "llama4_text", "zamba", "falcon"])
def test_a_model_of_special_layers_is_adapted_but_for_them_and_merged(family):
    """Fused experts, routers and layers that share a weight stay; what all tokens pass is adapted where it has the name of an expert, too."""
    model = tiny(family)
    before, original = {name: value.clone() for name, value in model.state_dict().items()}, copy.deepcopy(model)
    targets = lora.targeted(model, "all-linear", "")
    with torch.device("meta"):
        assert targets == lora.targeted(type(model)(model.config), "all-linear", ""), "as it is found before any weight is loaded"
    lora.adapted(model, lora=Lora(r=2, alpha=4.0), bf16=False, section="")
    assert [*lora.additions(model)] == targets and not any("experts" in name.split(".") for name in targets)
    assert {name.rpartition(".lora_")[0] for name in sharding.trained(model)} == {*targets}
    disturb(model)
    expected = model(torch.tensor([[5, 6, 7]])).logits
    merged = lora.merged(model, lambda: original)
    after = merged.state_dict()
    assert after.keys() == before.keys()
    assert not any(torch.equal(after[f"{name}.weight"], before[f"{name}.weight"]) for name in targets)
    assert torch.allclose(merged(torch.tensor([[5, 6, 7]])).logits, expected, atol=1e-4)


# ------------------------------------------------------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize("name", ["llama", "gpt2"])  # with linear layers of torch's, and transposed ones of the library's
def test_the_merged_model_gives_what_the_adapted_one_gave(name):
    torch.manual_seed(0)
    original = tiny(name)
    model = lora.adapted(copy.deepcopy(original), lora=SMALL, bf16=False, section="")
    disturb(model)
    before, untouched, ids = model.eval(), original.eval(), torch.tensor([[5, 6, 7, 8]])
    adapted_, plain = before(ids).logits, untouched(ids).logits
    merged = lora.merged(model, lambda: original)
    assert torch.allclose(merged(ids).logits, adapted_, atol=1e-5) and not torch.allclose(adapted_, plain, atol=1e-3)


def saved(opened, model, tokenizer, path) -> dict:
    """Save as a stage does; returns meta.json."""
    replace(opened, tokenizer=str(tokenizer)).save(model, path, {"steps": 1})
    return json.loads((path / "meta.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_policy_is_saved_as_any_other_with_additions_on_the_original_weights(
    precision, small, small_checkpoint, small_tokenizer, tmp_path
):
    opened, model = adapted(small_checkpoint, precision=precision)
    disturb(model)
    deltas = {name: layer.get_delta_weight("default").clone() for name, layer in lora.additions(model).items()}
    count = sum(p.numel() for p in sharding.trained(model).values())
    about = saved(opened, model, small_tokenizer, tmp_path / "model")
    loaded = models.load_policy(tmp_path / "model")
    assert about["trained"] == count < about["parameters"] == small[2].num_parameters()
    for name, weight in small[2].state_dict().items():
        expected = weight + deltas.get(name.removesuffix(".weight"), 0.0)
        assert torch.equal(loaded.state_dict()[name], expected), "in fp32, whatever the precision of training"


def test_a_reward_model_is_saved_with_its_head(small, small_checkpoint, small_tokenizer, pairs, tmp_path):
    torch.manual_seed(0)
    opened = session(Single, fim=small[1], lora=SMALL, learning_rate=1e-2, epochs=3)
    model = opened.load_reward_model(small_checkpoint)
    fresh = model.score.weight.detach().clone()
    record = single_reward.train(model=model, pairs=pairs, session=opened)
    packed = packing.pack(PROMPTS)
    with torch.no_grad():
        before, head = packing.scores(model.eval(), packed), model.score.weight.clone()
    assert not torch.equal(head, fresh) and "score.weight" in sharding.trained(model)
    replace(opened, tokenizer=str(small_tokenizer)).save(model, tmp_path / "model", record)
    loaded = models.load_reward_model(tmp_path / "model", fim=small[1]).eval()
    assert torch.equal(loaded.score.weight, head)
    assert torch.allclose(packing.scores(loaded, packed), before, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------------------- losses


def test_before_the_first_step_every_loss_is_that_of_the_whole_model(small, small_checkpoint, rows, pairs):
    both = [adapted(small_checkpoint)[1], models.load_policy(small_checkpoint)]
    reference = [dict(pair, reference_margin=0.1) for pair in pairs]
    for of in (
        lambda model: sft.loss(model, rows),
        lambda model: ipo.loss(model, reference, beta=0.3),
        lambda model: dpo.loss(model, reference, beta=0.3, length_penalty=0.0),
        lambda model: slic.loss(model, pairs, delta=1.0, sft_coef=0.1),
    ):
        one, other = (float(of(model.eval())[0].detach()) for model in both)
        assert one == other


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("method", "module"), [(Ipo, ipo), (Dpo, dpo), (Slic, slic)])
def test_methods_on_pairs_learn_by_additions(method, module, precision, small, small_checkpoint, pairs):
    own = {Ipo: dict(beta=0.3), Dpo: dict(beta=0.3), Slic: dict(delta=1.0, sft_coef=0.1)}[method]
    opened, model = adapted(small_checkpoint, method, precision=precision, epochs=40, learning_rate=1e-2, **own)
    more = dict(length_penalty=0.0) if method is Dpo else {}
    record = module.train(model=model, pairs=pairs, session=opened, **more)
    losses = [row["loss"] for row in record["history"] if "loss" in row]
    assert losses[-1] < losses[0] and record["steps"] == 80


def test_training_learns_the_targets(small, small_checkpoint, rows):
    opened, model = adapted(small_checkpoint, epochs=60, learning_rate=1e-2)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)  # the head is not trained, and fresh it is too small to prefer any token much
    losses = [row["loss"] for row in sft.train(model=model, rows=rows, session=opened)["history"] if "loss" in row]
    assert losses[-1] < losses[0] / 2


# ------------------------------------------------------------------------------------------------------------ PPO, RLOO: memory


def play(small, checkpoint, *, precision: str = "fp32", method: type = Ppo, reward=None, **settings):
    """(policy, value model, reward, record) of two rollouts with additions."""
    torch.manual_seed(0)
    own = OF_PPO if method is Ppo else dict(**ROLLED, num_generations=4, rloo_epochs=2)
    opened = session(method, fim=small[1], precision=precision, learning_rate=1e-2, **own, **{"lora": SMALL, **settings})
    policy = opened.load_policy(checkpoint)
    parts = dict(policy=policy, reference=opened.load_reference(policy, checkpoint))
    parts["reward"] = reward or rewards.Trained([opened.load_judge(checkpoint)])
    prompts = [[small[1].prefix, *range(40, 41 + i % 3), small[1].suffix, small[1].middle] for i in range(36)]
    if method is Rloo:
        return policy, None, parts["reward"], rloo.train(**parts, prompts=prompts, session=opened)
    value = rewards.value_model(reward=parts["reward"], parent=checkpoint, session=opened)
    return policy, value, parts["reward"], ppo.train(**parts, value_model=value, prompts=prompts, session=opened)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ppo_trains_on_two_backbones_and_neither_reference_nor_reward_has_moved(precision, small, small_checkpoint):
    policy, value, reward, record = play(small, small_checkpoint, precision=precision)
    judge, first, last = reward.models[0], *record["history"]
    assert value.model is judge.model and value.score is not judge.score, "one body, two heads"
    bodies = [model.model for model in (policy, value, judge)]
    frozen = {p.data_ptr() for body in bodies for p in body.parameters() if not p.requires_grad and p.ndim == 2}
    assert len(frozen) == 2 * (1 + 7 * policy.config.num_hidden_layers), "two backbones: embeddings and linear layers"
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    assert {p.dtype for p in policy.parameters() if not p.requires_grad and p.ndim == 2} == {kind}
    assert {p.dtype for p in sharding.trained(policy).values()} == {torch.float32}
    assert first["val/ratio"] != 1 and first["objective/kl"] == pytest.approx(0, abs=1e-6) and abs(last["objective/kl"]) > 1e-3
    assert value.score.weight.any() and not torch.equal(value.score.weight, judge.score.weight)
    packed = packing.pack(PROMPTS)
    with torch.no_grad(), session(Ppo, precision=precision, **OF_PPO).autocast():
        with lora.switched_off(policy):
            off = packing.logits(policy, packed).float()
        plain = packing.logits(models.load_policy(small_checkpoint), packed).float()
        assert not torch.allclose(packing.logits(policy, packed).float(), off, atol=1e-3)
        assert torch.allclose(off, plain, atol=1e-5 if precision == "fp32" else 0.02)
        torch.manual_seed(0)
        judged, again = reward(packed), models.load_reward_model(small_checkpoint, fim=small[1])
        again.score.weight.copy_(judge.score.weight)
        assert torch.allclose(judged, packing.scores(again.eval(), packed).float(), atol=1e-5 if precision == "fp32" else 0.02)


def test_rloo_and_ppo_on_a_computed_reward_train_too(small, small_checkpoint):
    counted = rewards.Computed(lambda prompt, completion: completion[0] % 7)
    for method in (Rloo, Ppo):
        policy, _, _, record = play(small, small_checkpoint, method=method, reward=counted)
        assert abs(record["history"][-1]["objective/kl"]) > 1e-4 and lora.additions(policy)


def test_a_resumed_training_of_additions_is_the_undisturbed_one(small, small_checkpoint, tmp_path):
    policy, _, _, record = play(small, small_checkpoint, reward=None)
    saving = Checkpoints(str(tmp_path), 50)
    play(small, small_checkpoint, checkpoints=saving)
    with safe_open(tmp_path / "step-1" / STATE_FILE, framework="pt") as saved:
        kept = {name.partition("/")[0] for name in saved.keys()}  # noqa: SIM118  it is no mapping
    assert all("lora_" in name or name == "value.score.weight" for name in kept) and len(kept) == 2 * 2 * 7 * 2 + 1
    resumed, _, _, again = play(small, small_checkpoint, checkpoints=saving)
    assert again == record and same(resumed.state_dict(), policy.state_dict())


def test_what_the_additions_learn_is_what_the_loss_of_the_whole_model_says(small, small_checkpoint, rows):
    """The gradient of B at B = 0 is the weight's own gradient times A, scaled."""
    _, model = adapted(small_checkpoint)
    whole = models.load_policy(small_checkpoint)
    for one in (model, whole):
        sft.loss(one.train(), rows)[0].backward()
    layer = model.model.layers[0].self_attn.q_proj
    expected = whole.model.layers[0].self_attn.q_proj.weight.grad @ layer.lora_A["default"].weight.T * (SMALL.alpha / SMALL.r)
    assert torch.allclose(layer.lora_B["default"].weight.grad, expected, atol=1e-6)
    assert expected.any()


IN_8_BITS = replace(SMALL, load_in_8bit=True)
needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="it is optional: envs/requirements.txt")


@needs_bitsandbytes
def test_frozen_weights_of_8_bits_are_those_of_linear_layers_and_merging_starts_from_the_original_ones(
    small, small_checkpoint, small_tokenizer, rows, tmp_path
):
    torch.manual_seed(0)
    opened = session(Sft, lora=IN_8_BITS, epochs=3, learning_rate=1e-2)
    model = opened.load_policy(small_checkpoint)
    whole = models.load_policy(small_checkpoint)
    kinds = {name: p.dtype for name, p in model.named_parameters() if not p.requires_grad}
    linear = {name for name, m in whole.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"}
    assert {name.partition(".base_layer")[0] for name, kind in kinds.items() if kind == torch.int8} == linear
    assert (logits(model) - logits(whole)).std() < 0.05 * logits(whole).std()
    sft.train(model=model, rows=rows, session=opened)
    deltas = {name: layer.get_delta_weight("default").clone() for name, layer in lora.additions(model).items()}
    saved(opened, model, small_tokenizer, tmp_path / "model")
    after = models.load_policy(tmp_path / "model").state_dict()
    assert any(delta.any() for delta in deltas.values())
    assert all(torch.equal(after[f"{name}.weight"], whole.state_dict()[f"{name}.weight"] + delta) for name, delta in deltas.items())


@needs_bitsandbytes
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ppo_on_8_bits_holds_two_backbones_and_resumes(precision, small, small_checkpoint, tmp_path):
    again = lambda checkpoints: play(small, small_checkpoint, precision=precision, lora=IN_8_BITS, checkpoints=checkpoints)  # noqa: E731
    saving = Checkpoints(str(tmp_path), 50)
    policy, value, reward, record = again(Checkpoints(None, 0))
    assert value.model is reward.models[0].model and abs(record["history"][-1]["objective/kl"]) > 1e-3
    assert lora.targeted(value, "all-linear", "") == lora.targeted(reward.models[0], "all-linear", "") != []
    for model in (policy, value):
        assert sum(p.dtype == torch.int8 for p in model.parameters()) == 7 * policy.config.num_hidden_layers
    again(saving)
    resumed, _, _, other = again(saving)
    assert other == record and same(sharding.trained(resumed), sharding.trained(policy))


def test_layers_whose_weights_are_integers_are_linear_ones(small):
    """As those that bitsandbytes makes, to which a value model's additions are put."""

    class Small(torch.nn.Linear):
        def forward(self, rows):
            return torch.nn.functional.linear(rows, self.weight.to(rows.dtype), self.bias)

    model, before = copy.deepcopy(small[2]), lora.targeted(small[2], "all-linear", "")
    for name in before:
        layer = model.get_submodule(name)
        layer.__class__ = Small
        layer.weight = torch.nn.Parameter(torch.zeros(layer.weight.shape, dtype=torch.int8), requires_grad=False)
    assert lora.targeted(model, "all-linear", "") == before


def test_without_lora_nothing_is_shared(small, small_checkpoint):
    opened = changed(session(Ppo, fim=small[1], **OF_PPO), lora=None)
    policy, judge = opened.load_policy(small_checkpoint), opened.load_judge(small_checkpoint)
    value = rewards.value_model(reward=rewards.Trained([judge]), parent=small_checkpoint, session=opened)
    assert opened.load_reference(policy, small_checkpoint) is not policy and value.model is not judge.model
    assert all(p.requires_grad for p in value.parameters())
