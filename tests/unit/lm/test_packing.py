"""Packed rows give what one unpadded sequence gives, in every architecture that the project names; decoding equals the library's."""

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from tests.unit.small import logprobs
from workflow_scripts.core.data.fim import Fim
from workflow_scripts.core.lm import generation, models, packing

NEW = dict(vocab_size=250, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
OLD = dict(vocab_size=250, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**NEW)),
    "qwen": lambda: Qwen2ForCausalLM(Qwen2Config(**NEW, num_key_value_heads=2)),
    "starcoder": lambda: Starcoder2ForCausalLM(Starcoder2Config(**NEW, num_key_value_heads=2)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**NEW)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**OLD)),
}
ITEMS = [
    ([3, 4, 5], [[6, 7], [8, 9, 10]]),
    ([3], [[4, 5]]),
    ([7, 8], [[1, 2, 3], [1, 2, 4], [9]]),
    ([11, 12, 13], [[14, 15]]),
    ([2, 2, 4, 4, 1], [[5, 6], [7, 8]]),
]


@pytest.fixture(params=MODELS)
def both(request):
    """(a model that reads packed rows, the same weights as the library reads them)."""
    torch.manual_seed(0)
    ours, plain = (MODELS[request.param]().eval() for _ in range(2))
    plain.load_state_dict(ours.state_dict())
    for parameter in ours.parameters():
        parameter.requires_grad_(True)
    return models.packed(ours), plain


def test_log_probabilities_and_gradients_are_those_of_each_sequence_alone(both):
    ours, plain = both
    packed = packing.pack(ITEMS)
    together = packing.logprobs(packing.logits(ours, packed), packed)
    alone = torch.cat([logprobs(plain, prompt, c) for prompt, continuations in ITEMS for c in continuations])
    assert together.detach().numpy() == pytest.approx(alone.detach().numpy(), abs=1e-5)
    assert packed.sizes == [2, 3, 2, 3, 3, 1, 2, 2, 2] and packed.tokens.tolist()[:5] == [6, 7, 8, 9, 10]
    weight = torch.linspace(0.5, 2, len(together))
    (together * weight).sum().backward()
    (alone * weight).sum().backward()
    for (name, a), b in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=2e-4, rtol=1e-3), name


def test_one_kernel_for_the_whole_row_gives_what_a_call_per_part_gives(both):
    ours, _ = both
    packed = packing.pack([*ITEMS, ITEMS[0], ([9], [[]])])
    with torch.no_grad():
        by_part = packing.logits(ours, packed)
        ours.set_attn_implementation(packing.IN_BLOCKS)
        assert packing.takes(ours) and (packing.logits(ours, packed) - by_part).abs().max() < 1e-5
        with torch.autocast("cpu", torch.bfloat16):  # which does not reach that kernel by itself
            assert (packing.logits(ours, packed) - by_part).abs().max() < 0.1 * by_part.std()


def test_under_autocast_attention_stays_in_fp32_on_a_cpu():
    """Its backward pass takes three times as long there in bf16. A model that is itself in bf16 gets what it goes on with."""
    generator = torch.Generator().manual_seed(0)
    row = [torch.randn(1, 2, 34, 8, generator=generator) for _ in range(3)]
    layout = packing.pack(ITEMS).layout
    exact = packing.attend(None, *row, None, layout=layout)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(packing.attend(None, *row, None, layout=layout)[0], exact)
        whole = packing.attend(None, *row, None)[0]
    assert torch.equal(whole, packing.attend(None, *row, None)[0]) and whole.dtype == torch.float32
    rough = packing.attend(None, *(x.bfloat16() for x in row), None, layout=layout)[0]
    assert rough.dtype == torch.bfloat16 and torch.allclose(rough.float(), exact, atol=0.05)


def test_no_place_is_predicted_twice_and_a_prompt_is_read_once():
    packed = packing.pack(ITEMS)
    assert packed.ids.shape == (1, 14 + 20) and sorted(set(packed.places.tolist())) == sorted(packed.places.tolist())
    assert packed.positions[0].tolist()[:8] == [0, 1, 2, 3, 4, 3, 4, 5]
    assert packed.starts == [0, 8, 11, 20, 25] and packed.prompts == [3, 1, 2, 3, 5]


def test_greedy_decoding_is_the_librarys_token_by_token(both, small):
    _, fim, _ = small
    ours, plain = both
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(5, 250, (1 + i % 11,), generator=generator).tolist() for i in range(23)]
    room = [1 + (7 * i) % 13 for i in range(23)]
    completions = generation.complete(model=ours, prompts=prompts, max_new_tokens=room, fim=fim, batch_size=8, desc="")
    for prompt, limit, tokens in zip(prompts, room, completions, strict=True):
        options = dict(max_new_tokens=limit, do_sample=False, eos_token_id=fim.end, pad_token_id=fim.pad)
        alone = plain.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), **options)[0, len(prompt) :].tolist()
        assert tokens == alone


def test_a_finished_row_stops_and_the_others_continue(small):
    """With an end token that the model is fond of, rows end at different steps."""
    tokenizer, fim, model = small
    ours = models.packed(LlamaForCausalLM(LlamaConfig(**NEW | dict(vocab_size=len(tokenizer)))).eval())
    with torch.no_grad():
        ours.lm_head.weight[fim.end] += 0.02 * torch.randn(32, generator=torch.Generator().manual_seed(5))
    prompts, room = [[5 + i, 6 + 2 * i] for i in range(40)], [30] * 40
    together = generation.complete(model=ours, prompts=prompts, max_new_tokens=room, fim=fim, batch_size=40, desc="")
    alone = generation.complete(model=ours, prompts=prompts, max_new_tokens=room, fim=fim, batch_size=1, desc="")
    assert together == alone and all(fim.end not in tokens[:-1] for tokens in together)
    assert len({len(tokens) for tokens in together if tokens[-1] == fim.end}) > 2, "rows must end at several steps for this to tell"


def test_a_finished_row_leaves_the_positions_of_others_to_them():
    torch.manual_seed(0)
    model = models.packed(GPT2LMHeadModel(GPT2Config(**OLD, n_positions=32)).eval())
    fim = Fim(style="own", bos=(), prefix=0, suffix=1, middle=2, end=250, pad=4)  # nothing ends by itself
    prompts, room = [list(range(5, 34)), *([[k, k + 1] for k in range(5, 14)])], [3] + [20] * 9
    options = dict(fim=fim, batch_size=10, desc=None)
    made = generation.complete(model=model, prompts=prompts, max_new_tokens=room, **options)
    assert made == [
        generation.complete(model=model, prompts=[p], max_new_tokens=[n], **options)[0] for p, n in zip(prompts, room, strict=True)
    ]


def test_samples_follow_the_distribution_at_the_temperature():
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.7]])).repeat(20_000, 1)
    drawn = generation.sampler(0.5, torch.Generator().manual_seed(0))(logits)
    expected = torch.tensor([0.01, 0.04, 0.49]) / 0.54
    assert torch.bincount(drawn).numpy() / 20_000 == pytest.approx(expected.numpy(), abs=0.01)


def test_an_empty_prompt_or_no_continuation_is_an_error():
    for item in (([], [[1]]), ([1], [])):
        with pytest.raises(ValueError, match="at least one prompt token and a continuation"):
            packing.pack([item])


def test_what_packed_attention_cannot_do_is_refused_and_never_ignored(both):
    ours, plain = both
    rows = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert torch.allclose(ours(rows).logits, plain(rows).logits, atol=1e-5), "rows without padding need no layout"
    with pytest.raises(NotImplementedError, match="takes no mask"):
        ours(rows, attention_mask=torch.tensor([[0, 1, 1], [1, 1, 1]]))
    with pytest.raises(NotImplementedError, match="does not continue the library's cache"):
        ours(rows[:, :1], past_key_values=ours(rows, use_cache=True).past_key_values)
    with pytest.raises(NotImplementedError, match="caps its attention scores"):
        packing.refuse(longest=9, softcap=50.0)
    with pytest.raises(NotImplementedError, match="attends to 8 tokens, fewer than"):
        packing.refuse(longest=9, sliding_window=8)
    packing.refuse(longest=8, sliding_window=8, is_causal=True, position_ids=rows, s_aux=None)
    for context in (9, None):
        with packing.sequences_of(context), pytest.raises(NotImplementedError, match="attends to 8 tokens, fewer than"):
            packing.refuse(longest=2, sliding_window=8)
    with packing.sequences_of(9), pytest.raises(NotImplementedError, match="attends to 8 tokens"):
        packing.no_mask(attention_mask=None, local_size=8)
    packing.no_mask(attention_mask=None, local_size=8)
    with pytest.raises(NotImplementedError, match="no mask of the model's own"):
        packing.attend(None, rows, rows, rows, torch.ones(1, 1, 3, 3))
    for name in ("s_aux", "sinks", "position_bias", "block_indices", "of_a_later_library"):
        with pytest.raises(NotImplementedError, match=f"does not know {name};"):
            packing.refuse(longest=9, **{name: rows})
    with pytest.raises(NotImplementedError, match="does not know is_causal=False"):
        packing.refuse(longest=9, is_causal=False)
