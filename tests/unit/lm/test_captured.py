"""Decoding at fixed shapes gives the tokens that decoding step by step gives. Without a card nothing is captured: the same step runs as it is."""

import contextlib
import copy
from types import SimpleNamespace

import pytest
import torch

from tests.unit.lm.test_packing import MODELS
from workflow_scripts.core.data.fim import Fim
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import captured, generation, models
from workflow_scripts.core.probing import policy

FIM = Fim(style="own", bos=(), prefix=0, suffix=1, middle=2, end=3, pad=4)
PROMPTS = [[9, 8, 7], [5, 6, 7, 8, 9, 10, 11], [12], [20, 21], [30, 31, 32, 33, 34]] * 4  # 20 rows: as many as no shape has
ROOM = [1, 30, 2, 12, 7] * 4


@pytest.fixture(params=["qwen", "gpt2"])
def both(request, monkeypatch):
    """(a model that decodes at fixed shapes and keeps them, the same one step by step)."""
    monkeypatch.setattr(captured.Captured, "release", lambda _: None)
    torch.manual_seed(0)
    plain = models.packed(MODELS[request.param]().eval())
    for parameter in plain.parameters():
        parameter.data *= 3  # so that tokens differ
    fixed = copy.deepcopy(plain)
    captured.enable(fixed)
    return fixed, plain


def completions(model, *, prompts=PROMPTS, room=ROOM, **options) -> list[list[int]]:
    return generation.complete(model=model, prompts=prompts, max_new_tokens=room, fim=FIM, batch_size=20, desc=None, **options)


def test_greedy_completions_are_the_same_token_for_token(both):
    fixed, plain = both
    found = completions(fixed)
    assert found == completions(plain) and len({tuple(c) for c in found}) > 4
    assert list(fixed.captured.shapes) == [(32, 128, torch.float32, None)] and fixed.captured.because is None


def test_samples_have_the_same_draws(both):
    drawn = [completions(m, choose=generation.sampler(1.0, torch.Generator().manual_seed(1)), samples=3) for m in both]
    assert drawn[0] == drawn[1]


def test_a_shape_serves_again_after_the_weights_have_moved(both):
    fixed, plain = both
    completions(fixed)
    (shape,) = fixed.captured.shapes.values()
    for model in both:
        for parameter in model.parameters():
            parameter.data *= 0.7
    others = [[40, 41, 42, 43], *PROMPTS[1:18]]
    assert completions(fixed, prompts=others, room=ROOM[:18]) == completions(plain, prompts=others, room=ROOM[:18])
    assert [*fixed.captured.shapes.values()] == [shape]


def test_probes_give_the_same_answers(both):
    items = [dict(prompt_ids=p, target_ids=[50 + i, 60, 61, 62]) for i, p in enumerate(PROMPTS[:5])]
    items += [dict(items[0], target_ids=[70, 71]), dict(items[1], probe="fim_no_end")]
    one, other = (
        {
            i: (completion, logprobs)
            for i, completion, logprobs, _ in policy.answers(model=m, reference=None, fim=FIM, items=items, batch_size=4, desc="")
        }
        for m in both
    )
    assert one.keys() == other.keys() and both[0].captured.shapes
    assert all(one[i][0] == other[i][0] and (one[i][1] == other[i][1]).all() for i in one)


def test_few_shapes_are_kept_those_used_last(both):
    fixed, _ = both
    for length in (100, 200, 100, 300, 400, 600, 100):
        completions(fixed, prompts=[[7] * length], room=[2])
    assert [columns for _, columns, *_ in fixed.captured.shapes] == [384, 512, 640, 128]


def test_a_copy_of_a_model_shares_no_shape_with_it(both):
    fixed, _ = both
    completions(fixed)
    assert copy.deepcopy(fixed).captured.shapes == {} != fixed.captured.shapes


def test_shapes_are_given_back_when_completions_are_made(both, monkeypatch):
    monkeypatch.undo()
    assert completions(both[0]) == completions(both[1]) and not both[0].captured.shapes


def test_under_autocast_a_shape_is_another_and_answers_stay_close(both):
    fixed, plain = both
    completions(fixed)
    with torch.autocast("cpu", torch.bfloat16):
        same = [one == other for one, other in zip(completions(fixed), completions(plain), strict=True)]
    assert sum(same) > 0.7 * len(same), "all but where a rounding decides"
    assert [dtype for *_, dtype in fixed.captured.shapes] == [None, torch.bfloat16]


def test_other_numbers_are_found_and_the_model_decodes_step_by_step(both, monkeypatch, caplog):
    fixed, plain = both
    real = captured.Fixed.extend
    monkeypatch.setattr(captured.Fixed, "extend", lambda self, layer, keys, values: real(self, layer, keys.roll(1, dims=0), values))
    assert completions(fixed) == completions(plain)
    assert f"{type(fixed).__name__} decodes without CUDA graphs: a step at a fixed shape has outputs off by" in caplog.text
    assert completions(fixed) == completions(plain) and len(caplog.records) == 1, "it is not tried again"


def test_in_bf16_one_rounding_is_no_difference_and_other_logits_are():
    logits = 100 + 3 * torch.randn(64, 500)
    rounded = logits.clone()
    rounded[3, 7] += 0.5
    assert captured.unlike(rounded, logits, in_bf16=False) and not captured.unlike(rounded, logits, in_bf16=True)
    assert captured.unlike(logits.roll(1, dims=0), logits, in_bf16=True)


def test_what_cannot_be_read_at_a_fixed_shape_is_decoded_step_by_step(both, monkeypatch, caplog):
    fixed, plain = both
    monkeypatch.setattr(captured.Fixed, "_step", lambda *_: (_ for _ in ()).throw(RuntimeError("out of memory\nmore")))
    assert completions(fixed) == completions(plain)
    assert caplog.text.rstrip().endswith("decodes without CUDA graphs: out of memory")


class Stream(contextlib.nullcontext):
    """Stands in for a stream of a card; there is nothing to wait for."""

    def wait_stream(self, other):
        pass


@pytest.fixture
def card(monkeypatch):
    """As if the CPU could capture: a graph replays what was called within it. Returns the graphs."""
    graphs, step = [], captured.Fixed._step

    class Graph:
        def replay(self):
            step(*self.called)

    def called(fixed, model):
        for graph in graphs:
            if graph.open:
                graph.called = (fixed, model)
        step(fixed, model)

    @contextlib.contextmanager
    def capturing(graph, *, stream, capture_error_mode):
        graphs.append(graph)
        graph.open = True
        yield
        graph.open = False

    monkeypatch.setattr(captured.Fixed, "_step", called)
    monkeypatch.setattr(captured, "_can_capture", lambda device: True)
    monkeypatch.setattr(captured, "_aside", Stream)
    for name, stand_in in dict(CUDAGraph=Graph, graph=capturing, stream=lambda s: s, current_stream=Stream).items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return graphs


def test_a_captured_step_is_replayed_for_every_token(both, card):
    fixed, plain = both
    assert completions(fixed) == completions(plain) == completions(fixed) and len(card) == 1
    with torch.autocast("cpu", torch.bfloat16):
        assert completions(fixed) == completions(fixed) and len(card) == 2


def test_a_capture_that_fails_ends_the_job_in_a_sentence(both, card, monkeypatch):
    def failing(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch.cuda, "graph", failing)
    said = r"^cuda_graphs: \w+ cannot be captured \(operation not permitted when stream is capturing\); set it to false, and run again$"
    with pytest.raises(InputError, match=said):
        completions(both[0])


def test_a_model_of_padded_rows_says_that_it_has_none(caplog):
    model = SimpleNamespace(config=SimpleNamespace(_attn_implementation="sdpa"))
    captured.enable(model)
    assert "SimpleNamespace decodes without CUDA graphs: it reads padded rows" in caplog.text and not hasattr(model, "captured")
