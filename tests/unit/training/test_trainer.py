"""Losses against their formulas by hand, on small real models; what training does to a model is seen in its completions."""

import copy
import dataclasses

import pytest
import torch

from tests.unit.small import logprobs, scratch
from workflow_scripts.core.data.fim import Fim
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.probing import policy, rewards
from workflow_scripts.core.training import ipo, models, ppo, reward, runtime, sft
from workflow_scripts.core.training.trainer import Stage

ONCE = Stage(seed=0, device="cpu", desc="test", epochs=1, batch_size=2, learning_rate=1e-9, weight_decay=0.0, warmup_share=0.0)
PPO = dict(seed=0, device="cpu", desc="", max_new_tokens=4, temperature=1.0, missing_eos_penalty=0.0, cliprange=0.2, gamma=1.0, lam=0.95)
PPO |= dict(vf_coef=0.1, whiten_rewards=False)


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
    record = ipo.train(model=trained, reference=reference, tokenizer=tokenizer, pairs=pairs(fim), beta=beta, stage=ONCE)
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
    sequences = [p["prompt_ids"] + p[c] for p in pairs(fim) for c in ("chosen_ids", "rejected_ids")]
    alone = [float(judge(torch.tensor([s])).logits[0, 0].detach()) for s in sequences]
    assert rewards.rewards(model=judge, sequences=sequences, fim=fim, batch_size=4, desc="") == pytest.approx(alone, abs=1e-5)
    record = reward.train(model=judge, tokenizer=tokenizer, pairs=pairs(fim), stage=ONCE)
    assert first_loss(record) == pytest.approx(float(torch.stack(expected).mean().detach()), rel=1e-4)


def test_sft_loss_counts_target_and_end_alone(small):
    tokenizer, fim, model = small
    examples = [dict(prompt_ids=p["prompt_ids"], target_ids=p["rejected_ids"][:2]) for p in pairs(fim)]
    rows = sft.completion_rows(examples, fim)
    assert [r["labels"].count(-100) for r in rows] == [6, 4] and all(r["input_ids"][-1] == r["labels"][-1] == fim.end for r in rows)
    expected = -torch.cat([logprobs(model, e["prompt_ids"], [*e["target_ids"], fim.end]) for e in examples]).mean()
    record = sft.train(model=copy.deepcopy(model), tokenizer=tokenizer, rows=rows, stage=ONCE)
    assert first_loss(record) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_a_model_trained_on_one_canary_gives_it_back_and_not_the_other(small):
    tokenizer, fim, model = small
    rows = [
        dict(canary_id=str(i), probe="fim", prompt_ids=[fim.prefix, 40 + i, fim.suffix, fim.middle], target_ids=[50 + i, 60, 70 + i, 61])
        for i in (0, 1)
    ]
    trained = copy.deepcopy(model)
    stage = dataclasses.replace(ONCE, epochs=60, learning_rate=1e-2)
    sft.train(model=trained, tokenizer=tokenizer, rows=sft.completion_rows(rows[:1] * 4, fim), stage=stage)
    settings = dict(temperature=1.0, top_k=40, top_p=1.0)
    probe = dict(tokenizer=tokenizer, fim=fim, items=rows, role="canary", settings=settings, batch_size=2, desc="")
    seen, unseen = policy.probe(model=trained, **probe)
    assert seen["exact"] and seen["ended"] and unseen["normalized_edit_distance"] > 0.1
    assert not any(c["exact"] for c in policy.probe(model=model, **probe))


def test_ppo_moves_towards_the_reward_and_its_prompts_are_padded_on_the_left(small, tmp_path):
    tokenizer, fim, model = small
    assert tokenizer.padding_side == "left"
    model.save_pretrained(tmp_path)
    judge = models.load_reward_model(tmp_path, fim=fim)
    rows = [dict(input_ids=[fim.prefix, *range(40, 41 + i % 3), fim.suffix, fim.middle]) for i in range(32)]
    record = ppo.train(
        model=copy.deepcopy(model),
        reference=model,
        reward_model=judge,
        tokenizer=tokenizer,
        rows=rows,
        episodes=512,
        rollout_batch=32,
        minibatch=16,
        ppo_epochs=2,
        learning_rate=3e-3,
        kl_coef=0.0,
        **PPO,
    )
    scores = [row["objective/scores"] for row in record["history"] if "objective/scores" in row]
    assert record["episodes"] == 512 and sum(scores[-3:]) / 3 > sum(scores[:3]) / 3


def test_ppo_names_too_few_prompts_instead_of_waiting_forever(small):
    tokenizer, fim, model = small
    with pytest.raises(InputError, match="larger than the 1 prompts of PPO; lower it"):
        ppo.train(
            model=model,
            reference=model,
            reward_model=model,
            tokenizer=tokenizer,
            rows=[dict(input_ids=[1, 2])],
            episodes=8,
            rollout_batch=8,
            minibatch=8,
            ppo_epochs=1,
            learning_rate=1e-3,
            kl_coef=0.1,
            **PPO,
        )


def test_ppo_prompts_hold_every_rl_prompt_row_and_each_preference_canary_as_often_as_asked():
    rl = [dict(source="snippet", source_id="s", prompt_ids=[1]), *[dict(source="canary", source_id="c", prompt_ids=[2])] * 4]
    preference = [dict(source="snippet", source_id="t", prompt_ids=[3]), *[dict(source="canary", source_id="d", prompt_ids=[4])] * 16]
    made = [r["input_ids"] for r in ppo.prompts(rl_prompt=rl, preference=preference, preference_repeats=3)]
    assert sorted(made) == [[1], *[[2]] * 4, *[[4]] * 3]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_asking_for_a_gpu_without_cuda_is_one_sentence():
    with pytest.raises(InputError, match=r"asked for 1 GPU and this machine has no CUDA device; set resources.train_ppo.gpu to 0"):
        runtime.start(seed=0, threads=1, gpu=1, name="train_ppo-default-A-0-ppo")
