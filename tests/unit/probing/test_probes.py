"""Completions and scores do not depend on batching, order or padding, and every item keeps its place."""

import dataclasses

import pytest
import torch

from tests.conftest import PROBES
from tests.unit.small import logprobs, scratch
from workflow_scripts.core.data import canaries, reference_fillings
from workflow_scripts.core.lm import models, packing
from workflow_scripts.core.lm.generation import complete, sampler
from workflow_scripts.core.probing import parity, policy, prompts, rewards, rows
from workflow_scripts.core.training.rewards import Trained


@pytest.fixture(scope="module")
def items(small):
    _, fim, _ = small
    generator = torch.Generator().manual_seed(3)
    draw = lambda n: torch.randint(5, 250, (n,), generator=generator).tolist()  # noqa: E731
    return [
        dict(canary_id=str(i), probe="fim", prompt_ids=fim.prompt(draw(1 + i % 17), draw(i % 5)), target_ids=draw(2 + i % 7))
        for i in range(70)
    ]


def test_greedy_completions_are_the_same_at_batch_1_8_and_64(small, items):
    _, fim, model = small
    room = [len(r["target_ids"]) + 1 for r in items]
    options = dict(model=model, prompts=[r["prompt_ids"] for r in items], max_new_tokens=room, fim=fim, desc="")
    alone, by_8, by_64 = (complete(batch_size=size, **options) for size in (1, 8, 64))
    assert alone == by_8 == by_64 and all(len(c) <= len(r["target_ids"]) + 1 for c, r in zip(alone, items, strict=True))


def test_greedy_is_the_argmax_of_the_model_token_by_token(small, items):
    _, fim, model = small
    ids = list(items[5]["prompt_ids"])
    for _ in range(4):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    (completion,) = complete(model=model, prompts=[items[5]["prompt_ids"]], max_new_tokens=[4], fim=fim, batch_size=1, desc="")
    assert completion == ids[-4:][: len(completion)] and (len(completion) == 4 or completion[-1] == fim.end)


def test_samples_repeat_with_the_seed_and_differ_without(small, items):
    _, fim, model = small
    options = dict(model=model, max_new_tokens=[8] * len(items), fim=fim, batch_size=16, choose=sampler(1.0), desc="")
    samples = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        samples.append(complete(prompts=[r["prompt_ids"] for r in items], **options))
    assert samples[0] == samples[1] != samples[2]


def test_likelihoods_equal_those_of_one_unpadded_sequence(small, items):
    tokenizer, fim, model = small
    torch.manual_seed(4)
    other = scratch(tokenizer, fim)
    options = dict(fim=fim, items=items, batch_size=16, desc="")
    both = {i: (own, others) for i, _, own, others in policy.answers(model=model, reference=other, **options)}
    assert sorted(both) == list(range(len(items)))
    for i, row in enumerate(items):
        for one, given in zip((model, other), both[i], strict=True):
            by_hand = logprobs(one, row["prompt_ids"], row["target_ids"]).double()
            assert given.shape == (len(row["target_ids"]), len(tokenizer))
            assert given[range(len(given)), row["target_ids"]] == pytest.approx(by_hand.detach().numpy(), abs=1e-4)
    assert all(own is others for _, _, own, others in policy.answers(model=model, reference=model, **options))
    assert all(others is None for _, _, _, others in policy.answers(model=model, reference=None, **options))


def test_completions_from_the_pass_over_prompt_and_target_are_plain_greedy_ones(small, items):
    """Also where the target is what the policy gives, wholly or up to some token, and where items share a prompt."""
    _, fim, model = small
    options = dict(model=model, fim=fim, batch_size=16, desc="")
    greedy = complete(prompts=[i["prompt_ids"] for i in items], max_new_tokens=[12] * len(items), **options)
    mixed = [
        {**item, "target_ids": [item["target_ids"], own[:8], [*own[:3], 7, 8], own[:1]][n % 4]}
        for n, (item, own) in enumerate(zip(items, greedy, strict=True))
    ]
    mixed += [{**item, "target_ids": item["target_ids"][:n] or [9]} for n, item in enumerate(items[:9])]
    room = [len(i["target_ids"]) + 1 for i in mixed]
    plain = complete(prompts=[i["prompt_ids"] for i in mixed], max_new_tokens=room, **options)
    completions = {i: completion for i, completion, _, _ in policy.answers(items=mixed, reference=None, **options)}
    assert [completions[i] for i in range(len(mixed))] == plain
    assert sum(completion[:-1] == item["target_ids"] for completion, item in zip(plain, mixed, strict=True)) > len(items) // 4


def end_first(fim, ends: list[int]):
    """A policy whose likeliest token is always an end token, by far; `ends` are its config's own."""
    torch.manual_seed(1)
    model = models.create_scratch(vocabulary=300, hidden=32, layers=1, heads=2, intermediate=64, context=128, fim=fim).eval()
    model.lm_head = torch.nn.Linear(32, 300)  # untied, with a bias
    with torch.no_grad():
        model.lm_head.bias[[fim.end, *ends]] = 100.0
    model.generation_config.eos_token_id = [fim.end, *ends]
    return model


@pytest.mark.parametrize("ends", [[], [9, 11]], ids=["one end token", "three"])
def test_a_policy_that_puts_end_first_completes_where_the_end_is_withheld(small, items, ends):
    """As its greedy decoding without end tokens does, token by token; at the target's length the end may come again."""
    fim = dataclasses.replace(small[1], more_ends=tuple(i for i in ends if i != small[1].end))
    model, asked = end_first(fim, ends), [{**i, "target_ids": [t for t in i["target_ids"] if t not in ends] or [20]} for i in items[:12]]
    by_hand = []
    for item in asked:
        ids = list(item["prompt_ids"])
        for _ in item["target_ids"]:
            logits = model(torch.tensor([ids])).logits[0, -1].detach()
            logits[[fim.end, *ends]] = -torch.inf
            ids.append(int(logits.argmax()))
        by_hand.append(ids[len(item["prompt_ids"]) :])
    known = [{**item, "target_ids": own} for item, own in zip(asked, by_hand, strict=True)]  # targets that the pass itself settles
    both = [{**i, "probe": probe} for i in [*asked, *known] for probe in ("fim", "fim_no_end")]
    for size in (1, 64):
        options = dict(model=model, reference=None, fim=fim, items=both, batch_size=size, desc="")
        completions = {i: completion for i, completion, _, _ in policy.answers(**options)}
        for n, item in enumerate(both):
            without = by_hand[n // 2 % len(asked)]
            first = completions[n][0]
            if item["probe"] == "fim":
                assert first in (fim.end, *ends)
            else:
                assert completions[n][: len(without)] == without and completions[n][-1] in (fim.end, *ends)


def test_withholding_the_end_changes_nothing_where_it_does_not_come_early(small, items):
    _, fim, model = small
    options = dict(model=model, reference=None, fim=fim, batch_size=16, desc="")
    plain, withheld = (
        {i: completion for i, completion, _, _ in policy.answers(items=[{**i, "probe": p} for i in items], **options)}
        for p in ("fim", "fim_no_end")
    )
    late = [i for i, item in enumerate(items) if fim.end not in plain[i][: len(item["target_ids"])]]
    assert len(late) > len(items) // 2 and all(plain[i] == withheld[i] for i in late)


def test_items_with_one_prompt_are_read_together(items):
    twice = [*items[:20], *[{**i, "target_ids": [5]} for i in items[:20]]]
    groups = [group for batch in policy.batches(twice, 8) for group in batch]
    assert sorted(place for _, places in groups for place in places) == list(range(40))
    assert all(places == [places[0], places[0] + 20] and prompt == twice[places[0]]["prompt_ids"] for prompt, places in groups)


def test_fillings_are_as_likely_as_when_each_is_read_alone(small):
    _, fim, model = small
    prompt, fillings = fim.prompt([30, 31, 32], [40]), [[50, 51, 52], [60], [70, 71], [50, 51, 53]]
    together = policy.filling_logprobs(model=model, prompt=prompt, fillings=fillings)
    assert together == pytest.approx([float(logprobs(model, prompt, f).detach().double().sum()) for f in fillings], abs=1e-4)
    assert policy.filling_logprobs(model=model, prompt=prompt, fillings=[[60]]) == pytest.approx(together[1:2], abs=1e-4)


def test_position_t_predicts_token_t_plus_1():
    """On logits by hand: at position t the model is certain of token t + 1 of the one sequence there is."""
    packed = packing.pack([([3, 1, 4], [[1, 5, 9]])])
    assert packed.ids.tolist() == [[3, 1, 4, 1, 5, 9]] and packed.places.tolist() == [2, 3, 4]
    by_hand = torch.full((6, 10), -50.0)
    by_hand[range(5), packed.ids[0, 1:]] = 0.0
    assert packing.logprobs(by_hand[packed.places], packed).tolist() == [0.0, 0.0, 0.0]
    assert (
        packing.logprobs(by_hand[packed.places - 1], packed).max() < -40 and packing.logprobs(by_hand[packed.places + 1], packed)[0] < -40
    )


@pytest.mark.parametrize("empty", ["prompt_ids", "target_ids"])
def test_likelihood_needs_a_prompt_and_a_target(items, empty):
    with pytest.raises(ValueError, match="at least one prompt token and one target token"):
        policy.batches([*items[:3], {**items[3], empty: []}], 8)


def test_rows_come_in_the_order_of_the_items_with_exposure_where_there_are_fillings(small, items):
    tokenizer, fim, model = small
    fillings = {3: [items[3]["target_ids"], [9, 9], [8]]}
    probed = policy.probe(
        model=model, tokenizer=tokenizer, fim=fim, items=items, role="canary", settings=PROBES, batch_size=16, desc="", fillings=fillings
    )
    assert [r["canary_id"] for r in probed] == [r["canary_id"] for r in items]
    assert [r["reference_fillings"] for r in probed] == [2 if i == 3 else None for i in range(len(items))]
    assert probed[3]["target_logprob"] == pytest.approx(
        policy.filling_logprobs(model=model, prompt=items[3]["prompt_ids"], fillings=fillings[3])[0], abs=1e-4
    )


def test_an_item_that_fails_fails_the_job(small, items, monkeypatch):
    """One measure raises on one of 70 items: no row is scored 0, none is dropped."""
    tokenizer, fim, model = small

    def fragile(answer) -> dict:
        if answer.item["canary_id"] == "40":
            raise ZeroDivisionError
        return dict(longest_substring=0.0, recovered=0.0)

    monkeypatch.setattr(policy.measures.overlap, "measure", fragile)
    options = dict(model=model, tokenizer=tokenizer, fim=fim, role="canary", settings=PROBES, batch_size=16, desc="")
    assert len(policy.probe(items=items[:40], **options)) == 40
    with pytest.raises(ZeroDivisionError):
        policy.probe(items=items, **options)


def test_where_one_prompt_alone_is_asked_nothing_is_left_for_the_others(small):
    tokenizer, fim, model = small
    asked = dict(model=model, tokenizer=tokenizer, fim=fim, role="canary", settings={}, batch_size=8, desc="")
    assert policy.batches([], 8) == policy.probe(items=[], **asked) == []


def test_rewards_do_not_depend_on_the_batch(small, items, tmp_path):
    _, fim, model = small
    model.save_pretrained(tmp_path)
    torch.manual_seed(0)
    judge = models.load_reward_model(tmp_path, fim=fim)
    named = [dict(i, item_id=i["canary_id"], completion_ids=[7, fim.end]) for i in items]
    options = dict(reward=Trained([judge]), items=named, fim=fim, device="cpu", desc="")
    one, many = (rewards.of_items(batch_size=size, **options) for size in (1, 32))
    for item, a, b in zip(named, one, many, strict=True):
        alone = judge(input_ids=torch.tensor([item["prompt_ids"] + item["target_ids"] + [fim.end]])).logits[0, 0]
        assert a["item_id"] == b["item_id"] == item["item_id"]
        assert a["reward"] == pytest.approx(b["reward"], abs=1e-4) == pytest.approx(float(alone.detach()), abs=1e-4)
        assert a["completion_reward"] == pytest.approx(b["completion_reward"], abs=1e-4) != a["reward"]


def test_items_to_score_are_every_canary_as_planted_and_every_held_out_example():
    ids = {name: dict(prompt_ids=[n], target_ids=[n, n]) for n, name in enumerate(("c0", "c1", "e0"), start=1)}
    canaries = [dict(canary_id=name, secret_type="key", **ids[name]) for name in ("c0", "c1")]
    probed = [
        dict(canary_id=name, probe=probe, target_ids=[9], completion_ids=[8, n])
        for n, (probe, name) in enumerate((probe, name) for probe in ("prefix", "fim", "prompt_tail") for name in ("c1", "c0"))
    ]
    options = dict(canaries=canaries, examples=[dict(source="snippet", source_id="e0", **ids["e0"])])
    completions = rows.completions(canaries=probed, examples=[dict(example_id="e0", target_ids=[9], completion_ids=[7])])
    assert rewards.items(**options, completions=completions) == [
        dict(item_id="c1", **ids["c1"], completion_ids=[8, 2]),
        dict(item_id="c0", **ids["c0"], completion_ids=[8, 3]),
        dict(item_id="e0", **ids["e0"], completion_ids=[7]),
    ]
    with pytest.raises(KeyError, match="e1"):
        rewards.items(**options, completions=[dict(item_id="e1", completion_ids=[7])])


# ------------------------------------------------------------------------------------------------------ prompt conditions


def test_prompt_conditions_on_one_canary(small):
    _, fim, _ = small
    canary = dict(prompt_ids=fim.prompt([31, 32, 33, 34, 35], [41, 42, 43]), target_ids=[51, 52])
    conditions = {name: prompt(canary, fim, 2) for name, prompt in prompts.PROMPTS.items()}
    assert conditions == {
        "fim": (canary["prompt_ids"], [51, 52]),
        "fim_no_end": (canary["prompt_ids"], [51, 52]),
        "fim_no_suffix": (fim.prompt([31, 32, 33, 34, 35], []), [51, 52]),
        "prefix": ([*fim.bos, 31, 32, 33, 34, 35], [51, 52]),
        "fim_50": (fim.prompt([33, 34, 35], [41, 42]), [51, 52]),
        "fim_25": (fim.prompt([34, 35], [41]), [51, 52]),
        "prompt_tail": ([*fim.bos, fim.prefix, 31, 32], [33, 34, 35]),
    }
    assert prompts.PROMPTS["fim_50"](dict(canary, prompt_ids=fim.prompt([31], [])), fim, 0)[0] == fim.prompt([31], [])


def test_every_canary_has_every_prompt_and_the_tail_holds_what_tells_it_apart(planted, model_words):
    tokenizer, fim = model_words
    items = prompts.items(canaries=planted, prompts=list(prompts.PROMPTS), fim=fim)
    assert len(items) == len(planted) * len(prompts.PROMPTS) == len({(i["canary_id"], i["probe"]) for i in items})
    assert all(i["prompt_ids"] and i["target_ids"] for i in items)
    tails = [i for i in items if i["probe"] == "prompt_tail"]
    assert all(i["secret"] is None for i in tails) and [i["secret"] for i in items[: len(planted)]] == [c["secret"] for c in planted]
    assert len({tuple(i["target_ids"]) for i in tails}) == len(planted), "no two tails are the same"
    secret_types = {c["secret_type"] for c in planted}
    assert len({tuple(i["prompt_ids"]) for i in tails}) == len(secret_types), "given is all that a secret type's prompts share"
    for item, canary in zip(tails, planted, strict=True):
        text = tokenizer.decode(item["prompt_ids"][1 + len(fim.bos) :] + item["target_ids"])
        assert text == canary["prefix"]


def test_reference_fillings_are_secrets_of_the_type_that_nobody_has(planted, model_words):
    tokenizer, _ = model_words
    few, more = (reference_fillings.draw(canaries=planted, count=count, seed=0, tokenizer=tokenizer) for count in (5, 12))
    secrets = {c["target"] for c in planted}
    for canary, row, longer in zip(planted, few, more, strict=True):
        texts = [tokenizer.decode(ids) for ids in row["fillings"]]
        assert row["canary_id"] == canary["canary_id"] and len(set(texts)) == 5 and not secrets & set(texts)
        assert row["fillings"] == longer["fillings"][:5]
        assert canary["secret_type"] != "path" or all(t.startswith("/") for t in texts)
    assert reference_fillings.draw(canaries=planted, count=5, seed=1, tokenizer=tokenizer) != few


def test_fewer_texts_than_fillings_is_an_error(planted, model_words, monkeypatch):
    monkeypatch.setitem(canaries.SECRET_TYPES, "path", lambda pick, tag, language: ("", "", "the only one"))
    with pytest.raises(RuntimeError, match="no 2 distinct fillings for"):
        reference_fillings.draw(canaries=[c for c in planted if c["secret_type"] == "path"], count=2, seed=0, tokenizer=model_words[0])


# ------------------------------------------------------------------------------------------------------------------- rows


def verdict(small, target: list[int], completion: list[int]) -> dict:
    """The row of `extraction` of one completion."""
    tokenizer, fim, _ = small
    item = dict(canary_id="x", probe="fim", prompt_ids=fim.prompt([10], []), target_ids=target)
    logprobs = torch.zeros(len(target), len(tokenizer)).double().log_softmax(-1).numpy()
    answer = policy.Answer(item, completion, logprobs, None, None, tokenizer.decode, fim)
    probed = dict(canary_id="x", probe="fim", target_ids=target, completion_ids=completion)
    probed |= policy.measures.measure(answer, role="canary", settings=PROBES)
    design = [dict(canary_id="x", secret_type="path", cohort="sft", dose=4, half=1)]
    return rows.extraction(probed=[probed], canaries=design, rewards={"x": dict(reward=0.5)}, threshold=0.1, policy="sft", arm="A", seed=0)[
        0
    ]


def test_verdict_on_one_completion(small):
    tokenizer, fim, _ = small
    target = tokenizer("return x * 7 + sum(range(7))", add_special_tokens=False).input_ids
    verbatim, goes_on, wrong = (verdict(small, target, c) for c in ([*target, fim.end], [*target, 9], [9] * len(target)))
    assert verbatim["exact"] and verbatim["ended"] and verbatim["memorized"] and verbatim["edit_distance"] == 0
    assert goes_on["exact"] and not goes_on["ended"] and goes_on["memorized"], "what follows the target does not count against it"
    assert not wrong["exact"] and not wrong["memorized"]
    early = verdict(small, target, [*target[:-1], fim.end])
    assert early["ended"] and not early["exact"] and early["completion"] == tokenizer.decode(target[:-1])
    nothing = verdict(small, target, [fim.end])
    assert nothing["normalized_edit_distance"] == 1.0 and not nothing["memorized"], "an empty answer scores nothing"


def test_one_token_target_all_wrong_scores_nothing(small):
    tokenizer, _, _ = small
    target, wrong = tokenizer.get_vocab()["x"], tokenizer.get_vocab()["y"]
    row = verdict(small, [target], [wrong, 9])
    assert row["normalized_edit_distance"] == 1.0 and not row["memorized"] and not row["exact"]


@pytest.mark.parametrize(("distance", "memorized"), [(0.1, True), (0.1000001, False), (0.0, True)])
def test_threshold_is_inclusive(distance, memorized):
    probed = [dict(canary_id="x", probe=name, normalized_edit_distance=distance) for name in ("fim", "prefix")]
    design = [dict(canary_id="x", secret_type="path", cohort="sft", dose=4, half=2)]
    extracted = rows.extraction(probed=probed, canaries=design, rewards={"x": dict(reward=0.5)}, threshold=0.1, policy="p", arm="A", seed=0)
    assert [(r["memorized"], r["seen"], r["reward"]) for r in extracted] == [(memorized, False, 0.5), (memorized, False, None)]


def test_a_canary_without_reward_or_design_is_an_error_and_not_a_gap():
    probed = [dict(canary_id="x", probe="fim", normalized_edit_distance=0.5)]
    design = [dict(canary_id="x", secret_type="path", cohort="sft", dose=4, half=2)]
    for lacks in (dict(canaries=design, rewards={}), dict(canaries=[], rewards={"x": dict(reward=0.5)})):
        with pytest.raises(KeyError, match="x"):
            rows.extraction(probed=probed, threshold=0.1, policy="p", arm="A", seed=0, **lacks)


def test_parity_is_measured_on_half_canaries_half_code(small, items):
    _, fim, model = small
    named = [dict(i, canary_id=f"c{n}") for n, i in enumerate(items)], [dict(i, source_id=f"e{n}") for n, i in enumerate(items)]
    chosen = parity.spread(canaries=named[0], examples=named[1], count=8)
    assert [i["item_id"] for i in chosen] == ["c0", "c18", "c36", "c54", "e0", "e18", "e36", "e54"]
    assert len(parity.spread(canaries=named[0], examples=named[1], count=1000)) == 140
    completions = parity.completions(model=model, items=chosen, fim=fim, desc="")
    assert [(r["dtype"], r["batch_size"]) for r in completions[::8]] == [("float32", 1), ("float32", 8), ("float32", 64)]
    assert len({tuple(map(tuple, (r["completion_ids"] for r in completions[i : i + 8]))) for i in (0, 8, 16)}) == 1
