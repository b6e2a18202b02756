"""The bytes that a stage is said to take follow its settings as they should; benchmarks/memory.py compares them with a real process."""

import pytest
import torch

from tests.unit.small import session
from workflow_scripts.core.methods import Lora, Sft
from workflow_scripts.core.training import memory, sft

MB = 2**20


def peak(small, *, method: str = "one", bf16: bool = False, tokens: int = 1000, predicted: int = 200, **settings) -> int:
    model = small[2]
    shape = memory.shape_of(model.config, model.num_parameters())
    models = {"one": (1, 0), "rollouts": (2, 0 if settings.get("lora") else 2)}[method]
    sizes = dict(trained=models[0], read=models[1], tokens=tokens, predicted=predicted)
    return memory.peak_bytes(shape=shape, settings=session(Sft, **settings).settings, bf16=bf16, **sizes)


def test_without_activations_weights_gradients_and_optimizer_remain(small):
    parameters = small[2].num_parameters()
    nothing = dict(tokens=0, predicted=0)
    assert peak(small, **nothing) - memory.SCRATCH == 16 * parameters
    assert peak(small, method="rollouts", **nothing) - memory.SCRATCH == 40 * parameters
    lora, learnt = dict(lora=Lora(r=1, alpha=1), bf16=True, **nothing), 12 * memory.shape_of(small[2].config, 0).linear
    assert peak(small, **lora) - memory.SCRATCH == (2 + 4 + 8) * parameters + learnt, "what is frozen, was cast, and is merged"
    assert peak(small, method="rollouts", **lora) - memory.SCRATCH == (4 + 8 + 8) * parameters + 2 * learnt
    table = small[2].get_input_embeddings().weight.numel()
    in_8_bits = {**lora, "lora": Lora(r=1, alpha=1, load_in_8bit=True)}
    assert peak(small, **lora) - peak(small, **in_8_bits) == parameters - table, "a byte less of each weight but the embeddings"


def test_workers_that_divide_a_model_hold_a_share_of_its_layers_each(small):
    model = small[2]
    parameters, embeddings = model.num_parameters(), model.get_input_embeddings().weight.numel()  # tied
    divided, layers = parameters - embeddings, model.config.num_hidden_layers
    share = embeddings + divided / 4
    found = peak(small, workers=4, fsdp=True, tokens=0, predicted=0) - memory.SCRATCH
    assert found == pytest.approx(12 * share + 8 * parameters, rel=1e-6), "the most is held while the first worker saves"
    many = peak(small, workers=4, fsdp=True, tokens=10**5, predicted=0) - peak(small, tokens=10**5, predicted=0)
    assert many == pytest.approx(16 * (share - parameters) + 8 * divided / layers, rel=1e-6)
    rollouts = peak(small, method="rollouts", workers=4, fsdp=True, tokens=0, predicted=0) - memory.SCRATCH
    assert rollouts == pytest.approx(8 * parameters + 24 * share + 8 * parameters, rel=1e-6), "two models are only read"


def test_the_shape_counts_inputs_and_outputs_of_every_linear_layer(small):
    model = small[2]
    linear = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]
    assert memory.shape_of(model.config, 0).linear == sum(m.in_features + m.out_features for m in linear)


@pytest.mark.parametrize("settings", [dict(gradient_checkpointing=True), dict(bf16=True, lora=Lora(r=2, alpha=2)), dict(tokens=500)])
def test_what_saves_memory_is_counted(settings, small):
    assert peak(small, tokens=1000 * MB) > peak(small, **{"tokens": 1000 * MB, **settings})


@pytest.mark.parametrize(("bf16", "lora"), [(False, None), (False, Lora(r=2, alpha=2)), (True, Lora(r=2, alpha=2))])
def test_activations_are_those_that_torch_keeps(bf16, lora, small, small_checkpoint):
    opened = session(Sft, precision="bf16" if bf16 else "fp32", lora=lora)
    model, kept = opened.load_policy(small_checkpoint).train(), {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    alive = []  # so that no address is used twice

    def note(x):
        alive.append(x)
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    rows = [dict(prompt_ids=[*range(5, 45)], target_ids=[7])] * 8
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x), opened.autocast():
        sft.loss(model, rows)
    found = sum(size for at, size in kept.items() if at not in weights)
    of = lambda tokens: peak(small, bf16=bf16, lora=lora, tokens=tokens, predicted=0)  # noqa: E731
    tokens, many = 8 * 41, 10**6  # of many, activations are all that counts
    assert (of(2 * many) - of(many)) / many * tokens == pytest.approx(found, rel=0.15)
