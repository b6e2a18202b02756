"""Losses against their formulas by hand, on small real models; what training does to a model is seen in its completions."""

import copy
import dataclasses

import pytest
import torch

from tests.unit.small import logprobs, scratch
from workflow_scripts.core.data.fim import Fim
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.probing import policy, rewards
from workflow_scripts.core.training import ipo, models, reward, runtime, sft
from workflow_scripts.core.training.rewards import Trained
from workflow_scripts.core.training.trainer import Stage

ONCE = Stage(seed=0, device="cpu", desc="test", epochs=1, batch_size=2, learning_rate=1e-9, weight_decay=0.0, warmup_ratio=0.0)


def pairs(fim: Fim) -> list[dict]:
    """Two pairs whose completions differ in length, so that sums and means give different losses."""
    return [
        dict(prompt_ids=[fim.prefix, 10, 11, fim.suffix, 12, fim.middle], chosen_ids=[20, 21, fim.end], rejected_ids=[30, 31, 32, 33, 34]),
        dict(prompt_ids=[fim.prefix, 13, fim.suffix, fim.middle], chosen_ids=[22, fim.end], rejected_ids=[35, fim.end]),
    ]


def first_loss(record: dict) -> float:
    return record["history"][0]["train_loss"]


def test_ipo_loss_is_the_formula_with_log_ratios_averaged_over_tokens(small):
    tokenizer, fim, model = small
    torch.manual_seed(1)
    reference, beta, expected, summed = scratch(tokenizer, fim), 0.3, [], []
    for pair in pairs(fim):
        ratio = [
            logprobs(model, pair["prompt_ids"], pair[c]) - logprobs(reference, pair["prompt_ids"], pair[c])
            for c in ("chosen_ids", "rejected_ids")
        ]
        expected.append((ratio[0].mean() - ratio[1].mean() - 1 / (2 * beta)) ** 2)
        summed.append((ratio[0].sum() - ratio[1].sum() - 1 / (2 * beta)) ** 2)
    expected, summed = (float(torch.stack(x).mean().detach()) for x in (expected, summed))
    trained = copy.deepcopy(model)
    record = ipo.train(model=trained, reference=reference, pairs=pairs(fim), beta=beta, stage=ONCE)
    assert first_loss(record) == pytest.approx(expected, rel=1e-4) and abs(summed - expected) > 0.01 * expected


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
    asked = [(p["prompt_ids"], [p["chosen_ids"], p["rejected_ids"]]) for p in pairs(fim)]
    assert rewards.rewards(reward=Trained([judge]), asked=asked, device="cpu", batch_size=4, desc="") == [
        pytest.approx(a, abs=1e-5) for a in alone
    ]
    record = reward.train(model=judge, pairs=pairs(fim), stage=ONCE)
    assert first_loss(record) == pytest.approx(float(torch.stack(expected).mean().detach()), rel=1e-4)


def test_sft_loss_counts_target_and_end_alone(small):
    tokenizer, fim, model = small
    examples = [dict(prompt_ids=p["prompt_ids"], target_ids=p["rejected_ids"][:2]) for p in pairs(fim)]
    rows = sft.completion_rows(examples, fim)
    assert [len(r["target_ids"]) for r in rows] == [3, 3] and all(r["target_ids"][-1] == fim.end for r in rows)
    expected = -torch.cat([logprobs(model, e["prompt_ids"], [*e["target_ids"], fim.end]) for e in examples]).mean()
    record = sft.train(model=copy.deepcopy(model), rows=rows, stage=ONCE)
    assert first_loss(record) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_a_model_trained_on_one_canary_gives_it_back_and_not_the_other(small):
    tokenizer, fim, model = small
    rows = [
        dict(canary_id=str(i), probe="fim", prompt_ids=[fim.prefix, 40 + i, fim.suffix, fim.middle], target_ids=[50 + i, 60, 70 + i, 61])
        for i in (0, 1)
    ]
    trained = copy.deepcopy(model)
    stage = dataclasses.replace(ONCE, epochs=60, learning_rate=1e-2)
    sft.train(model=trained, rows=sft.completion_rows(rows[:1] * 4, fim), stage=stage)
    settings = dict(temperature=1.0, top_k=40, top_p=1.0)
    probe = dict(tokenizer=tokenizer, fim=fim, items=rows, role="canary", settings=settings, batch_size=2, desc="")
    seen, unseen = policy.probe(model=trained, **probe)
    assert seen["exact"] and seen["ended"] and unseen["normalized_edit_distance"] > 0.1
    assert not any(c["exact"] for c in policy.probe(model=model, **probe))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_asking_for_a_gpu_without_cuda_is_one_sentence():
    with pytest.raises(InputError, match=r"asked for 1 GPU and this machine has no CUDA device; set resources.train_ppo.gpu to 0"):
        runtime.start(seed=0, threads=1, gpu=1, name="train_ppo-default-A-0-ppo")
