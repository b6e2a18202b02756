"""DPO and SLiC: their losses by hand, beside TRL 1.12's own, and what training does to the margin between chosen and rejected."""

import copy
import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from benchmarks.harness import as_it_comes
from tests.unit.small import logprobs, scratch
from workflow_scripts.core.training import dpo, pairwise, slic
from workflow_scripts.core.training.trainer import Stage

ONCE = Stage(seed=0, device="cpu", desc="test", epochs=1, batch_size=4, learning_rate=1e-9, weight_decay=0.0, warmup_ratio=0.0)


@pytest.fixture(scope="module")
def pairs(small) -> list[dict]:
    """Four pairs whose completions differ in length, so that sums, means and length penalties give different losses."""
    fim, lengths = small[1], [(2, 5), (6, 1), (3, 3), (1, 4)]
    start = lambda i: [fim.prefix, *range(10, 11 + i), fim.suffix, fim.middle]  # noqa: E731
    return [
        dict(prompt_ids=start(i), chosen_ids=[*range(20 + i, 20 + i + c), fim.end], rejected_ids=[*range(30 + i, 30 + i + r), fim.end])
        for i, (c, r) in enumerate(lengths)
    ]


@pytest.fixture(scope="module")
def reference(small):
    """Another model, far enough from the policy that a loss which leaves it out is seen."""
    torch.manual_seed(1)
    other = scratch(*small[:2])
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)
    return other


def sums(model, pair: dict) -> list[float]:
    """Log-probabilities of the chosen and the rejected completion, each read alone."""
    with torch.no_grad():
        return [float(logprobs(model, pair["prompt_ids"], pair[c]).sum()) for c in ("chosen_ids", "rejected_ids")]


def first_loss(record: dict) -> float:
    return record["history"][0]["train_loss"]


def test_likelihoods_are_those_of_each_completion_alone(small, pairs):
    model = small[2]
    expected = [sums(model, p) for p in pairs]
    assert pairwise.likelihoods(model, pairs, average=False).tolist() == [pytest.approx(e, abs=1e-4) for e in expected]
    means = [[e[0] / len(p["chosen_ids"]), e[1] / len(p["rejected_ids"])] for e, p in zip(expected, pairs, strict=True)]
    assert pairwise.likelihoods(model, pairs, average=True).tolist() == [pytest.approx(m, abs=1e-5) for m in means]


@pytest.mark.parametrize("length_penalty", [0.0, 0.05])
def test_dpo_loss_is_the_formula(length_penalty, small, pairs, reference):
    model, beta, expected = small[2], 0.3, []
    for pair in pairs:
        (chosen, rejected), (before, other) = sums(model, pair), sums(reference, pair)
        longer = len(pair["chosen_ids"]) - len(pair["rejected_ids"])
        margin = beta * ((chosen - before) - (rejected - other)) + length_penalty * longer
        expected.append(math.log(1 + math.exp(-margin)))
    how = dict(reference=reference, pairs=pairs, beta=beta, stage=ONCE)
    record = dpo.train(model=copy.deepcopy(model), length_penalty=length_penalty, **how)
    assert first_loss(record) == pytest.approx(sum(expected) / 4, rel=1e-4)
    assert record["tokens"] == sum(2 * len(p["prompt_ids"]) + len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs)
    without = dpo.train(model=copy.deepcopy(model), length_penalty=0.0, **how)
    assert (abs(first_loss(without) - first_loss(record)) > 1e-3) == (length_penalty > 0)


def test_a_longer_chosen_completion_pulls_less_under_a_length_penalty(small, pairs, reference):
    longer = [p for p in pairs if len(p["chosen_ids"]) > len(p["rejected_ids"])]
    rows = pairwise.with_reference(reference=reference, pairs=longer, average=False, batch_size=2, desc="")
    plain, penalized = (float(dpo.loss(small[2], rows, beta=0.3, length_penalty=a)[0].detach()) for a in (0.0, 0.2))
    assert longer and penalized < plain


@pytest.mark.parametrize(("delta", "sft_coef"), [(1.0, 0.0), (4.0, 0.0), (4.0, 0.25)])
def test_slic_loss_is_the_formula(delta, sft_coef, small, pairs):
    model = small[2]
    found = [sums(model, p) for p in pairs]
    hinges = [max(0, delta - chosen + rejected) for chosen, rejected in found]
    expected = sum(hinge - sft_coef * chosen for hinge, (chosen, _) in zip(hinges, found, strict=True)) / 4
    record = slic.train(model=copy.deepcopy(model), pairs=pairs, delta=delta, sft_coef=sft_coef, stage=ONCE)
    assert first_loss(record) == pytest.approx(expected, rel=1e-4)
    assert min(hinges) == 0 < max(hinges), "one pair on either side of the hinge"


# ---------------------------------------------------------------------------------------------------------------- beside TRL 1.12


def loss_of_trl(*, small, reference, pairs, folder, loss_type: str, beta: float, without_reference: bool) -> float:
    """TRL's loss of one batch; without a reference, both its log-probabilities count as 0."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class OnIds(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset  # rows are token ids already

    tokenizer, _, model = small
    model.save_pretrained(folder / "policy")
    reference.save_pretrained(folder / "reference")
    policy, other = (AutoModelForCausalLM.from_pretrained(folder / name) for name in ("policy", "reference"))
    options = as_it_comes(str(folder), max_length=None, loss_type=loss_type, beta=beta)
    trainer = OnIds(
        model=policy, ref_model=other, args=DPOConfig(**options), train_dataset=Dataset.from_list(pairs), processing_class=tokenizer
    )
    batch = trainer.data_collator(pairs)
    if without_reference:
        trainer.precompute_ref_logps = True
        batch |= {f"ref_{side}_logps": torch.zeros(len(pairs)) for side in ("chosen", "rejected")}
    return float(trainer.compute_loss(trainer.model, batch).detach())


def test_dpo_loss_is_that_of_trl(small, pairs, reference, tmp_path):
    beta = 0.3
    theirs = loss_of_trl(
        small=small, reference=reference, pairs=pairs, folder=tmp_path, loss_type="sigmoid", beta=beta, without_reference=False
    )
    rows = pairwise.with_reference(reference=reference, pairs=pairs, average=False, batch_size=3, desc="")
    ours, said = dpo.loss(small[2], rows, beta=beta, length_penalty=0.0)
    assert float(ours.detach()) == pytest.approx(theirs, abs=1e-5) and abs(theirs - math.log(2)) > 0.01
    assert 0 < float(said["accuracy"]) < 1


def test_slic_hinge_is_that_of_trl_without_a_reference(small, pairs, reference, tmp_path):
    delta = 4.0
    how = dict(small=small, reference=reference, pairs=pairs, folder=tmp_path, loss_type="hinge", beta=1 / delta)
    ours = float(slic.loss(small[2], pairs, delta=delta, sft_coef=0.0)[0].detach())
    assert ours / delta == pytest.approx(loss_of_trl(**how, without_reference=True), abs=1e-5)
    assert abs(ours / delta - loss_of_trl(**how, without_reference=False)) > 0.01


# ------------------------------------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("kind", ["dpo", "slic"])
def test_training_widens_the_margin_of_every_pair(kind, small, pairs):
    stage = Stage(seed=0, device="cpu", desc="test", epochs=30, batch_size=2, learning_rate=3e-3, weight_decay=0.0, warmup_ratio=0.1)
    model = copy.deepcopy(small[2])
    before = pairwise.margins(model, pairs, average=False).detach()
    if kind == "dpo":
        dpo.train(model=model, reference=model, pairs=pairs, beta=0.5, length_penalty=0.0, stage=stage)
    else:
        slic.train(model=model, pairs=pairs, delta=30.0, sft_coef=0.1, stage=stage)
    assert (pairwise.margins(model.eval(), pairs, average=False).detach() > before + 2).all()
