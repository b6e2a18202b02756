"""What TRL's trainers make of our rows and settings: the losses and weights of our own loops, and each error in one sentence."""

import copy
import json
import logging
import re
from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tests.unit.small import first_loss, logprobs, same, session
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import models
from workflow_scripts.core.methods import Dpo, Ipo, Lora, OnlineDpo, Ppo, Rloo, Sft, Single, Slic
from workflow_scripts.core.training import dpo, ipo, online_dpo, ppo, rewards, rl_prompts, rloo, sft, single_reward, slic, trainer
from workflow_scripts.core.training.by_trl import online_dpo as online_dpo_trl
from workflow_scripts.core.training.by_trl import ppo as ppo_trl
from workflow_scripts.core.training.by_trl import preference, rollouts, supervised
from workflow_scripts.core.training.by_trl import reward as reward_trl
from workflow_scripts.core.training.by_trl import rloo as rloo_trl
from workflow_scripts.core.training.by_trl.shared import reading_padded
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.session import Session

BY_ROWS = {
    # method: (settings, our training, TRL's); both take model, rows and session
    "sft": (Sft, {}, lambda rows, **o: sft.train(rows=rows, **o), lambda rows, **o: supervised.train(rows=rows, **o)),
    "ipo": (Ipo, dict(beta=0.3), lambda rows, **o: ipo.train(pairs=rows, **o), lambda rows, **o: preference.ipo(pairs=rows, **o)),
    "dpo": (
        Dpo,
        dict(beta=0.3),
        lambda rows, **o: dpo.train(pairs=rows, length_penalty=0.0, **o),
        lambda rows, **o: preference.dpo(pairs=rows, **o),
    ),
    "slic": (
        Slic,
        dict(delta=4.0, sft_coef=0.0),
        lambda rows, **o: slic.train(pairs=rows, **o),
        lambda rows, **o: preference.slic(pairs=rows, **o),
    ),
    "single": (
        Single,
        {},
        lambda rows, **o: single_reward.train(pairs=rows, **o),
        lambda rows, **o: reward_trl.train(pairs=rows, **o),
    ),
}
SEVERAL = dict(
    epochs=3, batch_size=2, learning_rate=3e-3, weight_decay=0.01, warmup_ratio=0.1
)  # nine steps on five rows, the last of an epoch on one


@pytest.fixture
def rows(small) -> dict[str, list[dict]]:
    """Five rows of each kind, of several lengths, so that sums, means and padding tell."""
    fim, lengths = small[1], [(2, 5), (6, 1), (3, 3), (1, 4), (4, 2)]
    start = lambda i: [fim.prefix, *range(10, 11 + i), fim.suffix, fim.middle]  # noqa: E731
    pairs = [
        dict(prompt_ids=start(i), chosen_ids=[*range(20 + i, 20 + i + c), fim.end], rejected_ids=[*range(30 + i, 30 + i + r), fim.end])
        for i, (c, r) in enumerate(lengths)
    ]
    examples = [dict(prompt_ids=p["prompt_ids"], target_ids=p["chosen_ids"]) for p in pairs]
    return {"sft": examples} | dict.fromkeys(("ipo", "dpo", "slic", "single"), pairs)


@pytest.fixture
def opened(small, small_tokenizer):
    """A session with the toy's tokenizer: `opened(settings, **values)`."""
    return lambda method, **settings: replace(session(method, fim=small[1], **settings), tokenizer=str(small_tokenizer))


def fresh(name: str, parent: str, opened: Session):
    """The model that a method starts from, the same each time."""
    torch.manual_seed(5)
    return opened.load_reward_model(parent) if name == "single" else opened.load_policy(parent)


def both(name: str, parent: str, opened: Session, rows: list[dict]) -> list[tuple[dict, dict]]:
    """[(weights, record)] of our training and of TRL's."""
    results = []
    for train in BY_ROWS[name][2:]:
        model = fresh(name, parent, opened)
        record = train(rows, model=model, session=opened)
        results.append((model.state_dict(), record))
    return results


# ------------------------------------------------------------------------------------------------------------ beside our own loops


@pytest.mark.parametrize("name", BY_ROWS)
def test_losses_and_weights_are_those_of_our_own_loop(name, rows, small_checkpoint, opened):
    method, own, *_ = BY_ROWS[name]
    (_, ours), (_, theirs) = both(name, small_checkpoint, opened(method, batch_size=8, **own), rows[name])
    assert first_loss(theirs) == pytest.approx(first_loss(ours), abs=1e-4) and first_loss(ours) > 0.01
    (weights, ours), (other, theirs) = both(name, small_checkpoint, opened(method, **SEVERAL, **own), rows[name])
    before = fresh(name, small_checkpoint, opened(method, **own)).state_dict()
    moved, apart = (max(float((weights[k] - x[k]).abs().max()) for k in before) for x in (before, other))
    assert moved > 5e-3 and apart < 1e-4, (moved, apart)
    assert first_loss(theirs) == pytest.approx(first_loss(ours), abs=1e-4)
    assert (theirs["steps"], theirs["tokens"]) == (ours["steps"], ours["tokens"]) == (9, ours["tokens"])
    assert theirs["trainer"] == "trl" and theirs["trl"] == "1.12.0" and json.loads(json.dumps(theirs)) == theirs
    assert theirs.get("centre") == pytest.approx(ours.get("centre"), abs=1e-3)


@pytest.mark.parametrize("name", ["sft", "ipo", "single"])
def test_additions_of_low_rank_and_bf16_are_those_of_our_own_loop(name, rows, small_checkpoint, opened, tmp_path):
    method, own, *_ = BY_ROWS[name]
    settings = opened(method, **SEVERAL, **own, lora=Lora(r=4, alpha=8.0), precision="bf16", gradient_checkpointing=True)
    saved = []
    for train in BY_ROWS[name][2:]:
        model = fresh(name, small_checkpoint, settings)
        record = train(rows[name], model=model, session=settings)
        settings.save(model, tmp_path / str(len(saved)), record)
        saved.append(
            (models.load_reward_model if name == "single" else models.load_policy)(
                tmp_path / str(len(saved)), **({"fim": settings.fim} if name == "single" else {})
            )
        )
    weights, other = (model.state_dict() for model in saved)
    before = fresh(name, small_checkpoint, opened(method, **own)).state_dict()
    moved, apart = (max(float((weights[k] - x[k]).abs().max()) for k in before) for x in (before, other))
    assert moved > 3e-3 and apart < 0.2 * moved, (moved, apart)
    frozen = [k for k in before if "embed" in k or "norm" in k]
    assert frozen and all(torch.equal(before[k], other[k]) for k in frozen)
    assert json.loads((tmp_path / "1/meta.json").read_text())["trainer"] == "trl"


# ------------------------------------------------------------------------------------------------------------------------ kills


class Killed(Exception):
    """Stands for a kill: training ends in the middle of a step."""


@pytest.mark.parametrize("lora", [None, Lora(r=4, alpha=8.0)], ids=["all weights", "lora"])
@pytest.mark.parametrize("name", ["sft", "ipo", "single"])
def test_killed_training_resumes_to_the_result_of_an_undisturbed_one(
    name, lora, rows, small_checkpoint, opened, tmp_path, monkeypatch, caplog
):
    method, own, _, train = BY_ROWS[name]
    settings = opened(method, **SEVERAL, **own, lora=lora)
    saving = replace(settings, checkpoints=Checkpoints(str(tmp_path / "checkpoints"), 20))
    run = lambda model, session: train(rows[name], model=model, session=session)  # noqa: E731
    whole = fresh(name, small_checkpoint, settings)
    record = run(whole, settings)
    with monkeypatch.context() as patched:

        def die(self, args, state, control, **_):
            if state.global_step == 7:
                raise Killed

        patched.setattr(trainer.Progress, "on_step_begin", die, raising=False)
        with pytest.raises(Killed):
            run(fresh(name, small_checkpoint, settings), saving)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-6"]
    again = fresh(name, small_checkpoint, settings)
    with caplog.at_level(logging.INFO):
        resumed = run(again, saving)
    assert "resuming from step 6 of 9" in caplog.text
    assert resumed == record and same(whole.state_dict(), again.state_dict())


# ---------------------------------------------------------------------------------------------------------------------- rollouts

ON_POLICY = dict(episodes=64, rollout_batch_size=16, learning_rate=3e-3, max_new_tokens=6, temperature=0.9, missing_eos_penalty=1.0)
PENALIZED = dict(mini_batch_size=8, kl_coef=0.05, cliprange=0.2)
OF = {
    "rloo": (Rloo, rloo, rloo_trl, dict(num_generations=4, rloo_epochs=2, **PENALIZED)),
    "ppo": (Ppo, ppo, ppo_trl, dict(ppo_epochs=2, gamma=1.0, lam=0.95, vf_coef=0.1, whiten_rewards=False, **PENALIZED)),
    "online_dpo": (OnlineDpo, online_dpo, online_dpo_trl, dict(num_generations=2, beta=0.1, mini_batch_size=16)),
}


def rolling(name: str, opened, **settings) -> Session:
    """A session of a method with rollouts; a policy of this name."""
    method, _, _, own = OF[name]
    return replace(opened(method, **{**ON_POLICY, **own, **settings}), section="policies.fast")


def prompts(fim) -> list[list[int]]:
    return [[fim.prefix, *range(40, 41 + i % 3), fim.suffix, fim.middle] for i in range(36)]


def play(name: str, parent: str, opened: Session, reward=None, *, by_trl: bool):
    """(policy, record) of a whole training."""
    torch.manual_seed(0)
    policy = opened.load_policy(parent)
    reference = opened.load_reference(policy, parent)
    reward = reward or rewards.Trained([opened.load_judge(parent)])
    parts = dict(policy=policy, reward=reward, prompts=prompts(opened.fim), session=opened)
    parts["reference_policy" if by_trl else "reference"] = reference
    if name == "ppo":
        parts["value_model"] = rewards.value_model(reward=reward, parent=parent, session=opened)
    return policy, OF[name][2 if by_trl else 1].train(**parts)


def low(_, completion: list[int]) -> float:
    """A reward that is easily learnt: the share of tokens in the lower half of the vocabulary."""
    return sum(token < 160 for token in completion) / len(completion)


@pytest.mark.parametrize("name", OF)
def test_rollouts_are_of_our_prompts_and_rewards(name, small, small_checkpoint, opened):
    settings, seen = rolling(name, opened), []

    def reward(prompt, completion):
        seen.append((prompt, completion))
        return low(prompt, completion)

    _, record = play(name, small_checkpoint, settings, rewards.Computed(reward), by_trl=True)
    fim, given = small[1], settings.settings
    drawn = [
        p for i in range(4) for p in rl_prompts.draw(prompts=prompts(fim), size=rl_prompts.prompts_per_rollout(given), seed=0, rollout=i)
    ]
    assert sorted(p for p, _ in seen) == sorted(p for p in drawn for _ in range(rl_prompts.generations(given)))
    for _, completion in seen:
        assert len(completion) == 6 or completion[-1] == fim.end
        assert fim.end not in completion[:-1]
    assert (record["steps"], record["episodes"], record["trl"]) == (4, 64, "1.12.0")
    assert record["tokens"] == sum(len(p) + len(c) for p, c in seen)
    assert len([row for row in record["history"] if {"reward", "objective/scores"} & row.keys()]) == 4
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("name", OF)
def test_training_moves_towards_the_reward_about_as_far_as_our_own_does(name, small_checkpoint, opened):
    free = dict(missing_eos_penalty=0.0, temperature=1.0, episodes=512, rollout_batch_size=32)
    one_step = dict(mini_batch_size=32, learning_rate=3e-2)  # of a rollout, and of 16 pairs alone
    settings = rolling(name, opened, **free, **(one_step if name == "online_dpo" else dict(mini_batch_size=16, learning_rate=1e-2)))
    gained, kl = {}, {}
    for by_trl in (False, True):
        policy, record = play(name, small_checkpoint, settings, rewards.Computed(low), by_trl=by_trl)
        scores = [
            row.get("objective/scores", row.get("reward")) for row in record["history"] if {"objective/scores", "reward"} & row.keys()
        ]
        gained[by_trl] = sum(scores[-3:]) / 3 - sum(scores[:3]) / 3
        kl[by_trl] = distance(policy, settings.load_policy(small_checkpoint), settings)
    assert min(gained.values()) > 0.2 and abs(gained[True] - gained[False]) < 0.15, gained
    assert 0.5 < kl[True] / kl[False] < 2, kl


@torch.no_grad()
def distance(policy, reference, opened: Session) -> float:
    """KL to the reference in nats per completion, by 180 samples."""
    from workflow_scripts.core.lm import generation

    options = dict(max_new_tokens=[6] * 36, fim=opened.fim, batch_size=36, desc=None, samples=5)
    torch.manual_seed(1)
    completions = generation.complete(model=policy, prompts=prompts(opened.fim), choose=generation.sampler(1.0), **options)
    queries = [p for p in prompts(opened.fim) for _ in range(5)]
    ratios = [float((logprobs(policy, p, c) - logprobs(reference, p, c)).sum()) for p, c in zip(queries, completions, strict=True)]
    return sum(ratios) / len(ratios)


def test_logarithms_in_bf16_are_taken_of_logits_in_fp32(small_checkpoint):
    """In bf16 the log-probability of a completion would be off by an eighth of a nat and more."""
    model = reading_padded(models.load_policy(small_checkpoint)).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids).logits
        assert logits.dtype == torch.float32 and model.lm_head(torch.ones(1, model.config.hidden_size)).dtype == torch.bfloat16


@pytest.mark.parametrize("name", OF)
def test_rollouts_learn_by_low_rank_additions_in_bf16(name, small_checkpoint, opened, tmp_path):
    settings = rolling(name, opened, lora=Lora(r=4, alpha=8.0), precision="bf16", gradient_checkpointing=True)
    policy, record = play(name, small_checkpoint, settings, by_trl=True)
    kl = [row.get("objective/kl", row.get("kl")) for row in record["history"] if {"objective/kl", "kl"} & row.keys()]
    assert abs(kl[0]) < 0.02 and abs(kl[-1]) > 2 * abs(kl[0]), "the reference is the policy before its additions"
    settings.save(policy, tmp_path / "saved", record)
    before, after = (models.load_policy(path).state_dict() for path in (small_checkpoint, tmp_path / "saved"))
    assert {("proj" in k) for k in before if not torch.equal(before[k], after[k])} == {True}


@pytest.mark.parametrize("lora", [None, Lora(r=4, alpha=8.0)], ids=["all weights", "lora"])
@pytest.mark.parametrize(("name", "steps"), [("rloo", 4), ("online_dpo", 1)])
def test_killed_rollouts_resume_to_the_result_of_undisturbed_ones(
    name, steps, lora, small_checkpoint, opened, tmp_path, monkeypatch, caplog
):
    settings = rolling(name, opened, lora=lora)
    saving = replace(settings, checkpoints=Checkpoints(str(tmp_path / "checkpoints"), 20))
    whole, record = play(name, small_checkpoint, settings, by_trl=True)
    with monkeypatch.context() as patched:

        def die(self, args, state, control, **_):
            if state.global_step == 3 * steps - 1:  # in the third of four rollouts, or before it
                raise Killed

        patched.setattr(trainer.Progress, "on_step_begin", die, raising=False)
        with pytest.raises(Killed):
            play(name, small_checkpoint, saving, by_trl=True)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [f"step-{2 * steps}"]
    with caplog.at_level(logging.INFO):
        again, resumed = play(name, small_checkpoint, saving, by_trl=True)
    assert f"resuming from step {2 * steps} of {4 * steps}" in caplog.text
    assert resumed == record and same(whole.state_dict(), again.state_dict())


@pytest.mark.parametrize("name", ["rloo", "online_dpo"])
def test_a_completion_ends_at_any_end(name, small, small_checkpoint, opened):
    fim = replace(small[1], more_ends=tuple(range(60, 200)))
    settings, seen = replace(rolling(name, opened), fim=fim), []
    reward = rewards.Computed(lambda prompt, completion: float(len(seen.append(completion) or completion)))
    play(name, small_checkpoint, settings, reward, by_trl=True)
    lengths = {len(c) for c in seen}
    assert len(lengths) > 2 and all(fim.ended(c) or len(c) == 6 for c in seen) and not any(set(c[:-1]) & {*fim.ends} for c in seen)


def test_completions_by_trl_do_not_depend_on_gradient_checkpointing(small_checkpoint, opened):
    seen = []
    for again in (False, True):
        settings, made = rolling("online_dpo", opened, episodes=16, gradient_checkpointing=again), []
        noting = rewards.Computed(lambda _, ids, made=made: float(len(made.append(ids) or ids)))
        play("online_dpo", small_checkpoint, settings, noting, by_trl=True)
        seen.append(made)
    assert seen[0] == seen[1] and len(seen[0]) == 16


# -------------------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", [*BY_ROWS, *OF])
def test_what_is_not_finite_is_one_sentence_that_names_the_learning_rate(name, rows, small_checkpoint, opened):
    sentence = (
        r"policies\.fast\.learning_rate: at 1e\+30 (training leaves .* not finite|[\w/ ]+ is (nan|inf|-inf) at step \d+); lower it, or .*"
    )
    if name in OF:
        settings = rolling(name, opened, learning_rate=1e30)
        run = lambda: play(name, small_checkpoint, settings, by_trl=True)[0]  # noqa: E731
    else:
        method, own, _, train = BY_ROWS[name]
        settings = replace(opened(method, **{**SEVERAL, "learning_rate": 1e30}, **own), section="policies.fast")
        run = lambda: train(rows[name], model=fresh(name, small_checkpoint, settings), session=settings)  # noqa: E731
    with pytest.raises(InputError) as error:
        run()
    assert re.fullmatch(sentence, str(error.value)), error.value


@pytest.mark.parametrize("name", OF)
def test_too_few_prompts_are_named(name, small_checkpoint, opened):
    settings = rolling(name, opened, rollout_batch_size=256)
    with pytest.raises(InputError, match=r"a rollout of \d+ prompts is larger than the 36 that there are; lower rollout_batch_size"):
        play(name, small_checkpoint, settings, by_trl=True)


def test_ppo_of_a_model_with_several_ends_is_refused(small, small_checkpoint, opened):
    settings = replace(rolling("ppo", opened), fim=replace(small[1], more_ends=(7, 8)))
    with pytest.raises(
        InputError, match=r"^policies\.fast\.trainer is trl, whose PPO knows one end, .* at 3 tokens; write trainer: packed$"
    ):
        play("ppo", small_checkpoint, settings, by_trl=True)


def test_a_model_that_reads_rows_with_padding_otherwise_is_refused(small, opened):
    torch.manual_seed(0)
    absolute = GPT2LMHeadModel(GPT2Config(vocab_size=320, n_positions=64, n_embd=32, n_layer=2, n_head=2)).eval()
    settings = rolling("rloo", opened)
    rollouts.check_padding(absolute, settings, positions=True)
    rollouts.check_padding(reading_padded(copy.deepcopy(small[2])), settings, positions=False)
    with pytest.raises(
        InputError, match=r"^policies\.fast\.trainer is trl, .* padded on their left, and GPT2LMHeadModel reads such rows otherwise"
    ):
        rollouts.check_padding(absolute, settings, positions=False)
