"""Losses against their formulas by hand, on small real models; what training does to a model is seen in its completions."""

import copy
import math
import re
from dataclasses import replace

import pytest
import torch
from transformers import TrainingArguments

from tests.conftest import PROBES
from tests.unit.small import first_loss, logprobs, scratch, session
from workflow_scripts.core.data.fim import Fim
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import models, runtime
from workflow_scripts.core.methods import Base, Ipo, Sft, Single
from workflow_scripts.core.probing import policy, rewards
from workflow_scripts.core.training import ipo, pairwise, sft, single_reward, trainer
from workflow_scripts.core.training.rewards import Trained


def pairs(fim: Fim) -> list[dict]:
    """Two pairs whose completions differ in length, so that sums and means give different losses."""
    return [
        dict(prompt_ids=[fim.prefix, 10, 11, fim.suffix, 12, fim.middle], chosen_ids=[20, 21, fim.end], rejected_ids=[30, 31, 32, 33, 34]),
        dict(prompt_ids=[fim.prefix, 13, fim.suffix, fim.middle], chosen_ids=[22, fim.end], rejected_ids=[35, fim.end]),
    ]


def test_ipo_loss_is_the_formula_with_log_ratios_averaged_over_tokens(small):
    tokenizer, fim, model = small
    torch.manual_seed(1)
    reference, opened, expected, summed = scratch(tokenizer, fim), session(Ipo, beta=0.3), [], []
    for pair in pairs(fim):
        ratio = [
            logprobs(model, pair["prompt_ids"], pair[c]) - logprobs(reference, pair["prompt_ids"], pair[c])
            for c in ("chosen_ids", "rejected_ids")
        ]
        expected.append((ratio[0].mean() - ratio[1].mean() - 1 / (2 * 0.3)) ** 2)
        summed.append((ratio[0].sum() - ratio[1].sum() - 1 / (2 * 0.3)) ** 2)
    expected, summed = (float(torch.stack(x).mean().detach()) for x in (expected, summed))
    rows = pairwise.with_reference(reference=reference, pairs=pairs(fim), average=True, session=opened)
    loss = float(ipo.loss(model, rows, beta=0.3)[0].detach())
    assert loss == pytest.approx(expected, rel=1e-4) and abs(summed - expected) > 0.01 * expected


def test_ipo_trains_with_the_model_as_it_comes_as_the_reference(small):
    record = ipo.train(model=copy.deepcopy(small[2]), pairs=pairs(small[1]), session=session(Ipo, beta=0.3))
    assert first_loss(record) == pytest.approx((1 / (2 * 0.3)) ** 2, rel=1e-4), "no log-ratio has moved yet"


def test_reward_loss_is_bradley_terry_on_scores_at_the_last_token(small, tmp_path):
    tokenizer, fim, model = small
    model.save_pretrained(tmp_path)
    torch.manual_seed(2)
    judge = models.load_reward_model(tmp_path, fim=fim).eval()
    expected = []
    for pair in pairs(fim):
        chosen, rejected = (judge(torch.tensor([pair["prompt_ids"] + pair[c]])).logits[0, 0] for c in ("chosen_ids", "rejected_ids"))
        expected.append(-torch.nn.functional.logsigmoid(chosen - rejected))
    alone = [
        [float(judge(torch.tensor([p["prompt_ids"] + p[c]])).logits[0, 0].detach()) for c in ("chosen_ids", "rejected_ids")]
        for p in pairs(fim)
    ]
    prompts = [(p["prompt_ids"], [p["chosen_ids"], p["rejected_ids"]]) for p in pairs(fim)]
    together = rewards.rewards(reward=Trained([judge]), prompts=prompts, device="cpu", batch_size=4, desc="")
    assert together == [pytest.approx(a, abs=1e-5) for a in alone]
    record = single_reward.train(model=judge, pairs=pairs(fim), session=session(Single))
    assert first_loss(record) == pytest.approx(float(torch.stack(expected).mean().detach()), rel=1e-4)


def test_sft_loss_counts_only_target_and_end(small):
    tokenizer, fim, model = small
    examples = [dict(prompt_ids=p["prompt_ids"], target_ids=p["rejected_ids"][:2]) for p in pairs(fim)]
    rows = sft.completion_rows(examples, fim)
    assert [len(r["target_ids"]) for r in rows] == [3, 3] and all(r["target_ids"][-1] == fim.end for r in rows)
    expected = -torch.cat([logprobs(model, e["prompt_ids"], [*e["target_ids"], fim.end]) for e in examples]).mean()
    record = sft.train(model=copy.deepcopy(model), rows=rows, session=session(Sft))
    assert first_loss(record) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_a_model_trained_on_one_canary_gives_it_back_and_not_the_other(small):
    tokenizer, fim, model = small
    rows = [
        dict(canary_id=str(i), probe="fim", prompt_ids=[fim.prefix, 40 + i, fim.suffix, fim.middle], target_ids=[50 + i, 60, 70 + i, 61])
        for i in (0, 1)
    ]
    trained = copy.deepcopy(model)
    opened = session(Sft, epochs=60, batch_size=2, learning_rate=1e-2)
    sft.train(model=trained, rows=sft.completion_rows(rows[:1] * 4, fim), session=opened)
    probe = dict(tokenizer=tokenizer, fim=fim, items=rows, role="canary", settings=PROBES, batch_size=2, desc="")
    seen, unseen = policy.probe(model=trained, **probe)
    assert seen["exact"] and seen["ended"] and unseen["normalized_edit_distance"] > 0.1
    assert not any(c["exact"] for c in policy.probe(model=model, **probe))


def test_no_epochs_leave_the_model_as_it_is(small):
    assert sft.train(model=None, rows=[dict(prompt_ids=[1], target_ids=[2])], session=session(Base, epochs=0)) == dict(
        steps=0, history=[], tokens=0
    )


# -------------------------------------------------------------------------------------------------------------------- bad input


def test_a_loss_that_is_not_finite_is_one_sentence_that_names_the_policy_and_the_learning_rate(small):
    fim, model = small[1], copy.deepcopy(small[2])
    fast = replace(session(Sft, epochs=9, learning_rate=1e30), section="policies.fast")
    rows = sft.completion_rows([dict(prompt_ids=[3 + i, 4], target_ids=[10 + i, 11]) for i in range(16)], fim)
    with pytest.raises(InputError) as error:
        sft.train(model=model, rows=rows, session=fast)
    sentence = r"policies\.fast\.learning_rate: at 1e\+30 the loss is (nan|inf) at step \d+; lower it, or check the weights that training starts from"
    assert re.fullmatch(sentence, str(error.value)), error.value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_training_stops_at_the_first_loss_that_is_not_finite(value, small):
    steps, model = [], copy.deepcopy(small[2])

    def loss(model, rows):
        steps.append(len(rows))
        return model.lm_head.weight.sum() * (value if len(steps) == 3 else 0.0), {}

    with pytest.raises(InputError, match=r"^the settings.learning_rate: at 1e-09 the loss is -?(nan|inf) at step 3; lower it"):
        trainer.fit(model=model, rows=[{}] * 16, loss=loss, session=session(Sft))
    assert steps == [4, 4, 4]


@pytest.mark.parametrize(
    ("name", "value", "broken"),
    [("model.norm.weight", math.inf, "the weight model.norm.weight"), ("model.norm.weight", 3e38, "the output")],
)
def test_what_is_not_finite_is_not_saved(name, value, broken, small, tmp_path):
    model, opened = copy.deepcopy(small[2]), replace(session(Sft), section="policies.fast")
    opened.check_finite(model)
    with torch.no_grad():
        model.get_parameter(name)[..., 3] = value
    with pytest.raises(InputError) as error:
        opened.save(model, tmp_path / "model", {})
    assert str(error.value).startswith(f"policies.fast.learning_rate: at 1e-09 training leaves {broken} not finite; lower it")
    assert not (tmp_path / "model").exists()


def test_of_two_gpus_one_is_used(monkeypatch):
    """Else the library spreads a batch over both, and packed rows cannot be spread."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert TrainingArguments(output_dir="unused").n_gpu == 2
    monkeypatch.setattr("transformers.training_args.is_torch_bf16_gpu_available", lambda: True)
    assert trainer._arguments(replace(session(Sft), device="cuda")).n_gpu == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_asking_for_a_gpu_without_cuda_is_one_sentence():
    with pytest.raises(InputError) as error:
        runtime.start(seed=0, threads=1, gpu=1, name="train_ppo-default-A-0-ppo")
    assert str(error.value) == (
        "train_ppo-default-A-0-ppo asks for a GPU and this machine has no CUDA device; run without `--workflow-profile profiles/gpu`"
    )
