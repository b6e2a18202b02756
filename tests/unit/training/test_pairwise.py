"""DPO and SLiC: their losses by hand, beside TRL 1.12's own, and what training does to the margin between chosen and rejected."""

import copy
import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from benchmarks.harness import as_it_comes
from tests.unit.small import first_loss, logprobs, scratch, session
from workflow_scripts.core.methods import Dpo, Slic
from workflow_scripts.core.training import dpo, pairwise, slic


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


def compared(reference, pairs: list[dict], *, average: bool = False, batch_size: int = 3) -> list[dict]:
    """The pairs with the reference's margins."""
    return pairwise.with_reference(reference=reference, pairs=pairs, average=average, session=session(Dpo, beta=1.0, batch_size=batch_size))


def test_likelihoods_are_those_of_each_completion_alone(small, pairs):
    model = small[2]
    expected = [sums(model, p) for p in pairs]
    assert pairwise.likelihoods(model, pairs, average=False).tolist() == [pytest.approx(e, abs=1e-4) for e in expected]
    means = [[e[0] / len(p["chosen_ids"]), e[1] / len(p["rejected_ids"])] for e, p in zip(expected, pairs, strict=True)]
    assert pairwise.likelihoods(model, pairs, average=True).tolist() == [pytest.approx(m, abs=1e-5) for m in means]


def test_reference_margins_do_not_depend_on_the_batch(pairs, reference):
    expected = [chosen - rejected for chosen, rejected in (sums(reference, p) for p in pairs)]
    for size in (1, 3, 4):
        assert [row["reference_margin"] for row in compared(reference, pairs, batch_size=size)] == pytest.approx(expected, abs=1e-4)
    assert all(row.items() >= pair.items() for row, pair in zip(compared(reference, pairs), pairs, strict=True))


def dpo_by_hand(model, reference, pairs: list[dict], *, beta: float, length_penalty: float) -> float:
    """The loss of DPO, one sequence at a time."""
    losses = []
    for pair in pairs:
        (chosen, rejected), (before, other) = sums(model, pair), sums(reference, pair)
        longer = len(pair["chosen_ids"]) - len(pair["rejected_ids"])
        margin = beta * ((chosen - before) - (rejected - other)) + length_penalty * longer
        losses.append(math.log(1 + math.exp(-margin)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("length_penalty", [0.0, 0.05])
def test_dpo_loss_is_the_formula(length_penalty, small, pairs, reference):
    model, rows, beta = small[2], compared(reference, pairs), 0.3
    with torch.no_grad():
        loss, without = (float(dpo.loss(model, rows, beta=beta, length_penalty=a)[0]) for a in (length_penalty, 0.0))
    assert loss == pytest.approx(dpo_by_hand(model, reference, pairs, beta=beta, length_penalty=length_penalty), rel=1e-4)
    assert (abs(without - loss) > 1e-3) == (length_penalty > 0)


@pytest.mark.parametrize("length_penalty", [0.0, 0.05])
def test_dpo_trains_on_that_loss_with_the_model_as_it_comes_as_the_reference(length_penalty, small, pairs):
    model = small[2]
    record = dpo.train(model=copy.deepcopy(model), pairs=pairs, length_penalty=length_penalty, session=session(Dpo, beta=0.3))
    assert first_loss(record) == pytest.approx(dpo_by_hand(model, model, pairs, beta=0.3, length_penalty=length_penalty), rel=1e-4)
    assert (abs(first_loss(record) - math.log(2)) > 1e-3) == (length_penalty > 0)
    assert record["tokens"] == sum(2 * len(p["prompt_ids"]) + len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs)


def test_a_longer_chosen_completion_pulls_less_under_a_length_penalty(small, pairs, reference):
    longer = [p for p in pairs if len(p["chosen_ids"]) > len(p["rejected_ids"])]
    rows = compared(reference, longer, batch_size=2)
    plain, penalized = (float(dpo.loss(small[2], rows, beta=0.3, length_penalty=a)[0].detach()) for a in (0.0, 0.2))
    assert longer and penalized < plain


@pytest.mark.parametrize(("delta", "sft_coef"), [(1.0, 0.0), (4.0, 0.0), (4.0, 0.25)])
def test_slic_loss_is_the_formula(delta, sft_coef, small, pairs):
    model = small[2]
    both = [sums(model, p) for p in pairs]
    hinges = [max(0, delta - chosen + rejected) for chosen, rejected in both]
    expected = sum(hinge - sft_coef * chosen for hinge, (chosen, _) in zip(hinges, both, strict=True)) / 4
    record = slic.train(model=copy.deepcopy(model), pairs=pairs, session=session(Slic, delta=delta, sft_coef=sft_coef))
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
    ours, metrics = dpo.loss(small[2], compared(reference, pairs), beta=beta, length_penalty=0.0)
    assert float(ours.detach()) == pytest.approx(theirs, abs=1e-5) and abs(theirs - math.log(2)) > 0.01
    assert 0 < float(metrics["accuracy"]) < 1


def test_slic_hinge_is_that_of_trl_without_a_reference(small, pairs, reference, tmp_path):
    delta = 4.0
    options = dict(small=small, reference=reference, pairs=pairs, folder=tmp_path, loss_type="hinge", beta=1 / delta)
    ours = float(slic.loss(small[2], pairs, delta=delta, sft_coef=0.0)[0].detach())
    assert ours / delta == pytest.approx(loss_of_trl(**options, without_reference=True), abs=1e-5)
    assert abs(ours / delta - loss_of_trl(**options, without_reference=False)) > 0.01


# ------------------------------------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("method", [Dpo, Slic], ids=lambda method: method.__name__)
def test_training_widens_the_margin_of_every_pair(method, small, pairs):
    own = dict(beta=0.5) if method is Dpo else dict(delta=30.0, sft_coef=0.1)
    opened = session(method, epochs=30, batch_size=2, learning_rate=3e-3, warmup_ratio=0.1, **own)
    model = copy.deepcopy(small[2])
    before = pairwise.margins(model, pairs, average=False).detach()
    if method is Dpo:
        dpo.train(model=model, pairs=pairs, length_penalty=0.0, session=opened)
    else:
        slic.train(model=model, pairs=pairs, session=opened)
    assert (pairwise.margins(model.eval(), pairs, average=False).detach() > before + 2).all()
