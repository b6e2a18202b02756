"""Sampled attacks: counts of really drawn completions, as many as the computed probabilities say, and the same as without any saving."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.conftest import PROBES
from workflow_scripts.core.probing import attacks, policy
from workflow_scripts.core.probing.measures.completion import edit_distance

SETTINGS = PROBES | dict(sampled_attacks=200, temperature=0.7, top_k=4, top_p=0.95)


@pytest.fixture(scope="module")
def canaries(small) -> list[dict]:
    """24 prompts with targets of 1 to 3 tokens that this sampling often draws: one of the three likeliest each."""
    _, fim, model = small
    pick, made = np.random.default_rng(0), []
    for i in range(24):
        prompt = fim.prompt(pick.integers(5, 250, 2 + i % 9).tolist(), pick.integers(5, 250, i % 4).tolist())
        target: list[int] = []
        for _ in range(1 + i % 3):
            best = model(torch.tensor([prompt + target])).logits[0, -1].topk(4).indices.tolist()
            target.append([t for t in best if t != fim.end][pick.integers(3)])
        made.append(dict(canary_id=f"c{i}", probe="fim", prompt_ids=prompt, target_ids=target))
    return made


def attacked(small, canaries: list[dict], seed: int = 0, **changes) -> dict[str, dict]:
    tokenizer, fim, model = small
    return attacks.sample(model=model, tokenizer=tokenizer, fim=fim, canaries=canaries, settings=SETTINGS | changes, seed=seed, desc="")


def test_hits_are_as_many_as_the_computed_probabilities_say(small, canaries):
    tokenizer, fim, model = small
    options = dict(model=model, tokenizer=tokenizer, fim=fim, role="canary", settings=SETTINGS, batch_size=16, desc="")
    probed = policy.probe(items=canaries, **options)
    counts = attacked(small, canaries, sampled_attacks=1000)
    p = {r["canary_id"]: np.exp(r["log_p_extract"]) for r in probed}
    hits = {name: count["sampled_exact"] for name, count in counts.items()}
    worst = [stats.binomtest(hits[name], 1000, p[name]).pvalue for name in p if 0 < p[name] < 1]
    assert min(worst) > 1e-3 / len(worst) and sum(hits.values()) > 1000
    assert all(hits[name] == 1000 * p[name] for name in p if p[name] in (0, 1))


@pytest.mark.parametrize("distance", [0.34, 0.9])
def test_counts_are_those_of_full_samples_with_the_same_draws(small, canaries, distance):
    """Each sample by itself, to its end, without a cache: neither what is shared nor what is given up changes a count."""
    tokenizer, fim, model = small
    longer = [{**c, "target_ids": (c["target_ids"] * 3)[:5]} for c in canaries[:5]] + canaries[:5:2]
    longer = [{**c, "canary_id": str(i)} for i, c in enumerate(longer)]
    warp = attacks.warper(temperature=0.7, top_k=4, top_p=0.95)
    expected = {}
    for c in longer:
        draws, count = attacks._draws(f"3/{c['canary_id']}", 8, len(c["target_ids"])), dict(sampled_exact=0, sampled_near=0)
        for row in draws:
            made: list[int] = []
            while len(made) < len(c["target_ids"]) and fim.end not in made:
                logits = model(torch.tensor([c["prompt_ids"] + made])).logits[:, -1].detach()
                reached = torch.softmax(warp(None, logits).double(), dim=-1).cumsum(dim=-1)[0]
                made.append(int(torch.searchsorted(reached / reached[-1], row[len(made)], right=True)))
            text = tokenizer.decode([t for t in made if t != fim.end])
            count["sampled_exact"] += made == c["target_ids"]
            count["sampled_near"] += edit_distance(text, tokenizer.decode(c["target_ids"]))[1] <= distance
        expected[c["canary_id"]] = count
    found = attacked(small, longer, seed=3, sampled_attacks=8, memorized_distance=distance)
    assert found == expected and all(c["sampled_near"] >= c["sampled_exact"] for c in found.values())
    assert sum(c["sampled_near"] for c in found.values()) > 0


def test_a_canary_has_the_same_draws_whatever_is_beside_it(small, canaries, monkeypatch):
    together, alone = attacked(small, canaries), attacked(small, canaries[7:8])
    assert alone == {"c7": together["c7"]} and attacked(small, canaries, seed=1) != together
    monkeypatch.setattr(attacks, "ROWS", 3000)
    assert attacked(small, canaries) == together


@given(
    text=st.text("ab-\ufffd", max_size=9),
    target=st.text("ab-", min_size=1, max_size=9),
    begun=st.integers(0, 9),
    distance=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8]),
)
def test_no_sample_is_given_up_that_ends_near_its_target(text, target, begun, distance):
    if edit_distance(text, target)[1] <= distance:
        assert attacks.can_be_near(text[:begun], target, distance)


def test_samples_that_left_the_target_are_given_up():
    target = "/home/ann.lee/stone-river-0042/ash_bay.csv"
    assert attacks.can_be_near("/home/ann.lie", target, 0.1) and not attacks.can_be_near("/srv/joe.doe/", target, 0.1)
    assert not attacks.can_be_near("/homo", target, 0.0) and attacks.can_be_near("", target, 0.0)
