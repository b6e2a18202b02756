"""Types of reward models: their arithmetic by hand, each trained for real, and read back from its checkpoint."""

import json
import math
import runpy
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from tests.conftest import ROOT, SCHEMA
from tests.unit.small import same, session
from workflow_scripts.core import job, parquet
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.data import tokenizer as tokenizers
from workflow_scripts.core.data.fim import encode
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import packing
from workflow_scripts.core.methods import Single, Smoothed
from workflow_scripts.core.training import length_reward, reward_pairs, rewards, schemas, single_reward, smoothed_reward

SETTINGS = dict(epochs=3, batch_size=8, learning_rate=1e-2)
WORST = dict(type="ensemble", aggregate="worst", uncertainty_coef=1.0)


@pytest.fixture(scope="module")
def pairs(small) -> list[dict]:
    """40 pairs in which token 60 is chosen before token 90; the rejected completions are longer, and one of eight has the two exchanged."""
    fim, rows = small[1], []
    for i in range(40):
        better, worse = [60, 20 + i, fim.end], [90, 91, 92 + i % 7, *range(30, 30 + i % 4)]
        chosen, rejected = (worse, better) if i % 8 == 0 else (better, worse)
        rows.append(dict(prompt_ids=[fim.prefix, 10 + i, fim.suffix, fim.middle], chosen_ids=chosen, rejected_ids=rejected))
    return rows


def pack(pairs: list[dict]) -> packing.Pack:
    return packing.pack([(p["prompt_ids"], [p["chosen_ids"], p["rejected_ids"]]) for p in pairs])


# ------------------------------------------------------------------------------------------------------------------------ by hand


def test_aggregates_of_three_members():
    scores = torch.tensor([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]])  # means 3 and 1, variances (4 + 1 + 9) / 3 and (1 + 1 + 4) / 3
    of = lambda name: rewards.aggregated(scores, aggregate=name, uncertainty_coef=0.5).tolist()  # noqa: E731
    assert of("mean") == [3, 1] and of("worst") == [1, 0]
    assert of("uncertainty") == pytest.approx([3 - 0.5 * 14 / 3, 1 - 0.5 * 2])


def test_penalties_of_a_score(small):
    packed = packing.pack([([5], [[1, 2, 3], [4]]), ([6], [[7, 8]])])
    fixed = lambda packed: torch.tensor([1.0, 2.0, 3.0])  # noqa: E731
    ended = torch.tensor([True, False, True])
    scores = rewards.score(reward=fixed, packed=packed, ended=ended, missing_eos_penalty=0.5, length_penalty=0.25)
    assert scores.tolist() == [1 - 0.75, 2 - 0.5 - 0.25, 3 - 0.5]


def test_soft_labels_by_hand():
    margin, labels = torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 0.5])  # sigmoid 1/2 and 3/4
    expected = -(math.log(0.5) + 0.5 * math.log(0.75) + 0.5 * math.log(0.25)) / 2
    assert float(smoothed_reward.soft_loss(margin, labels)) == pytest.approx(expected)
    assert smoothed_reward.moved(labels, margin, 0.2).tolist() == pytest.approx([0.8 + 0.1, 0.4 + 0.15])
    assert not smoothed_reward.moved(labels, margin.requires_grad_(), 0.2).requires_grad


def test_length_reward_finds_the_bradley_terry_model_that_made_the_pairs():
    """Two lengths, the longer one chosen in 30 of 40 pairs: the margin is log 3, as the logit of 3/4."""
    pair = lambda chosen, rejected: dict(chosen_ids=[0] * chosen, rejected_ids=[0] * rejected)  # noqa: E731
    record = length_reward.fit([pair(9, 4)] * 30 + [pair(4, 9)] * 10)
    long, short = length_reward.rewards([9, 4], fitted=record["fitted"])
    assert long - short == pytest.approx(math.log(3), abs=0.02)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert record["loss"] == pytest.approx(entropy, abs=1e-3) and record["accuracy"] == 0.75 and record["pairs"] == 40


def test_length_reward_bends_where_the_middle_is_best():
    pair = lambda chosen, rejected: dict(chosen_ids=[0] * chosen, rejected_ids=[0] * rejected)  # noqa: E731
    fitted = length_reward.fit([pair(8, 2), pair(8, 14), pair(7, 3), pair(9, 13)] * 10)["fitted"]
    low, best, high = length_reward.rewards([2, 8, 14], fitted=fitted)
    assert best > low + 1 and best > high + 1, "finite, though lengths alone tell all pairs apart"


def test_length_reward_of_pairs_of_one_length_prefers_none():
    record = length_reward.fit([dict(chosen_ids=[1, 2], rejected_ids=[3, 4])] * 3)
    assert record["accuracy"] == 0.5 and record["loss"] == pytest.approx(math.log(2))
    assert len(set(length_reward.rewards([2, 9], fitted=record["fitted"]))) == 1


# ------------------------------------------------------------------------------------------------------------------------ training


def trained(parent: str, fim, pairs: list[dict], *, smoothing: float | None = None, epochs: int = 3):
    """(model, record) of a smoothed reward model; of a single one without `smoothing`."""
    settings = {**SETTINGS, "epochs": epochs}
    own = dict(smoothing=smoothing) if smoothing is not None else {}
    opened = session(Smoothed if own else Single, fim=fim, **settings, **own)
    torch.manual_seed(0)
    model = opened.load_reward_model(parent)
    return model, (smoothed_reward if own else single_reward).train(model=model, pairs=pairs, session=opened)


def test_labels_that_are_not_smoothed_give_the_single_reward_model(small, small_checkpoint, pairs):
    plain, record = trained(small_checkpoint, small[1], pairs)
    unsmoothed, again = trained(small_checkpoint, small[1], pairs, smoothing=0.0)
    assert same(unsmoothed.state_dict(), plain.state_dict())
    assert again["centre"] == record["centre"]
    assert [{k: v for k, v in row.items() if k != "label"} for row in again["history"]] == record["history"]


def test_smoothing_takes_exchanged_pairs_less_seriously(small, small_checkpoint, pairs):
    hard, soft = (trained(small_checkpoint, small[1], pairs, smoothing=s, epochs=8) for s in (0.0, 0.7))
    labels = [row["label"] for row in soft[1]["history"] if "label" in row]
    assert labels[0] > labels[-1] and all(0 < x <= 1 for x in labels) and {r.get("label", 1.0) for r in hard[1]["history"]} == {1.0}
    with torch.no_grad():
        margins = [reward_pairs.margins(model.eval(), pairs) for model, _ in (hard, soft)]
    exchanged = torch.arange(len(pairs)) % 8 == 0
    learnt = [float(m[~exchanged].mean()) for m in margins]
    noise = [float(m[exchanged].mean()) for m in margins]
    assert learnt[1] > 0 > noise[1] and noise[0] > noise[1] * learnt[0] / learnt[1], (learnt, noise)


def test_the_centre_is_the_mean_score(small, small_checkpoint, pairs, monkeypatch):
    model, record = trained(small_checkpoint, small[1], pairs)
    with torch.no_grad():
        scores = packing.scores(model, pack(pairs))
        assert record["centre"] == pytest.approx(float(scores.mean()), abs=1e-5)
        assert torch.allclose(reward_pairs.scores(model, pairs).flatten(), scores.float(), atol=1e-5)
    monkeypatch.setattr(reward_pairs, "CENTRED_ON", 10)
    spaced = float(scores.view(-1, 2)[::4].mean())
    assert reward_pairs.centre(model, pairs, session(Single, batch_size=3)) == pytest.approx(spaced, abs=1e-5)


def run(script: str, files: dict, settings: dict, folder: Path, patch) -> str:
    """The checkpoint that a training script writes."""
    folder.mkdir()
    opened = SimpleNamespace(
        name=script,
        input=SimpleNamespace(**files),
        output=SimpleNamespace(model=str(folder / "model")),
        config={"reward_models.rm": settings},
        wildcards=dict(reward="rm", arm="A", seed="0"),
        gpu=0,
        cuda_graphs=False,
        checkpoint_folder=None,
        checkpoint_percent=0,
    )

    @contextmanager
    def stand_in(_):
        yield opened

    patch.setattr(job, "job", stand_in)
    runpy.run_path(str(ROOT / f"workflow_scripts/{script}.py"), init_globals={"snakemake": None})
    return opened.output.model


@pytest.fixture(scope="module")
def checkpoints(small_tokenizer, small_checkpoint, pairs, tmp_path_factory) -> dict[str, str]:
    """A checkpoint of each type, by its own script with the default settings."""
    config = resolve(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")), SCHEMA)
    folder = tmp_path_factory.mktemp("rewards")
    rows = [dict(p, source="snippet", source_id=str(i), substituted=False) for i, p in enumerate(pairs)]
    parquet.write(rows, schemas.PREFERENCES, folder / "pairs.parquet")
    files = dict(parent=small_checkpoint, tokenizer=str(small_tokenizer), pairs=str(folder / "pairs.parquet"))
    single = config["reward_models"]["reward_model"]
    smoothed = {**single, **config["reward_types"]["smoothed"], "type": "smoothed"}
    entries = dict(single=single, other={**single, "seed": 1}, smoothed=smoothed, length_only={"type": "length_only"})
    with pytest.MonkeyPatch.context() as patch:
        return {n: run(f"train_reward_{e['type']}", files, e, folder / n, patch) for n, e in entries.items()}


def load(checkpoints: dict[str, str], fim, *names: str, **spec) -> rewards.Reward:
    """The reward of these checkpoints."""
    return rewards.load(spec=spec, checkpoints=[checkpoints[name] for name in names], session=session(Single, fim=fim, **SETTINGS))


def test_every_type_is_trained_and_read_back(checkpoints, small, pairs):
    fim, packed = small[1], pack(pairs)
    about = {name: json.loads((Path(path) / "meta.json").read_text()) for name, path in checkpoints.items()}
    with torch.no_grad():
        scores = {name: load(checkpoints, fim, name, type=about[name]["settings"]["type"])(packed) for name in checkpoints}
        together = load(checkpoints, fim, "single", "smoothed", **WORST, members=["single", "smoothed"])(packed)
    assert all(x.shape == (2 * len(pairs),) and x.dtype == torch.float32 for x in scores.values())
    assert not torch.equal(scores["single"], scores["other"]), "another seed is another head and another order"
    alone = [scores[name] for name in ("single", "smoothed")]
    assert torch.equal(together, torch.minimum(*alone)) and not torch.equal(together, alone[0])
    lengths = length_reward.rewards(packed.sizes, fitted=about["length_only"]["fitted"])
    assert scores["length_only"].tolist() == pytest.approx(lengths, rel=1e-5)
    assert about["length_only"]["accuracy"] > 0.8 and about["smoothed"]["steps"] == 9 and about["single"]["steps"] == 6
    assert sorted(p.name for p in Path(checkpoints["length_only"]).iterdir()) == ["meta.json"]
    assert "labels" not in load(checkpoints, fim, "smoothed", type="smoothed").models[0].state_dict()


def test_a_checkpoint_describes_itself(checkpoints):
    about = {name: json.loads((Path(path) / "meta.json").read_text()) for name, path in checkpoints.items()}
    for name, meta in about.items():
        assert (meta["policy"], meta["arm"], meta["seed"]) == ("rm", "A", 0), name
    assert (about["other"]["parent"], about["other"]["settings"]["seed"], about["single"]["settings"]["type"]) == ("sft", 1, "single")


def test_a_value_model_starts_at_zero_on_the_body_of_the_first_network_or_of_the_parent(checkpoints, small, small_checkpoint):
    fim, options = small[1], dict(parent=small_checkpoint, session=session(Single, fim=small[1], **SETTINGS))
    ensemble = load(checkpoints, fim, "single", "other", **WORST, members=["single", "single"])
    copied = rewards.value_model(reward=ensemble, **options)
    first = load(checkpoints, fim, "single", type="single").models[0].state_dict()
    body = lambda state: {name: value for name, value in state.items() if not name.startswith("score.")}  # noqa: E731
    assert copied is not ensemble.models[0] and same(body(copied.state_dict()), body(first)) and first["score.weight"].any()
    fresh = rewards.value_model(reward=load(checkpoints, fim, "length_only", type="length_only"), **options)
    assert torch.equal(fresh.model.layers[0].mlp.up_proj.weight, small[2].model.layers[0].mlp.up_proj.weight)
    assert not copied.score.weight.any() and not fresh.score.weight.any()


def test_a_trained_reward_is_less_its_mean_over_training_completions(checkpoints, small):
    reward = load(checkpoints, small[1], "single", type="single")
    packed = packing.pack([([5, 6], [[7, 8], [9]])])
    centre = json.loads((Path(checkpoints["single"]) / "meta.json").read_text())["centre"]
    assert centre and torch.allclose(reward(packed), packing.scores(reward.models[0], packed).float() - centre)


# ----------------------------------------------------------------------------------------------------------------------- computed


def write_truths(folder, rows: list[tuple[list[int], list[int]]]) -> list[str]:
    """A file of canaries with the first prompt and its target, and one of examples with the others."""
    (prompt, target), *others = rows
    about = dict(canary_id="c", secret_type="key", cohort="rl_prompt", dose=1, half=1, prefix="", suffix="", target="", secret=[""])
    parquet.write([{**about, "prompt_ids": prompt, "target_ids": target}], data_schemas.CANARIES, folder / "canaries.parquet")
    examples = [dict(source="snippet", source_id=str(i), prompt_ids=p, target_ids=t) for i, (p, t) in enumerate(others)]
    parquet.write(examples, data_schemas.EXAMPLES, folder / "examples.parquet")
    return [folder / "canaries.parquet", folder / "examples.parquet"]


def test_similarity_knows_the_truth_of_each_prompt(small, tmp_path):
    fim = small[1]
    truths = write_truths(tmp_path, [([5, 6], [20, 21, 22]), ([7], [30])])
    reward = rewards.load(spec=dict(type="similarity"), checkpoints=[], truths=truths, session=session(Single, fim=fim, **SETTINGS))
    packed = packing.pack([([5, 6], [[20, 21, 22, fim.end], [20, 21], [40, 41, 42, 43]]), ([7], [[30, fim.end], [30, 31, fim.end]])])
    assert reward(packed).tolist() == pytest.approx([1, 0.5, 0, 1, 2 / 3])
    assert reward.models == ()
    with pytest.raises(InputError, match="a prompt has no known continuation; "):
        reward(packing.pack([([5], [[20]])]))


def test_parses_reads_the_completion_in_its_hole(small, small_tokenizer):
    words, fim, _ = tokenizers.load(small_tokenizer)
    opened = replace(session(Single, fim=fim, **SETTINGS), tokenizer=str(small_tokenizer))
    reward = rewards.load(spec=dict(type="parses"), checkpoints=[], session=opened)
    ids = lambda text: encode(words, text)  # noqa: E731
    prompt = fim.prompt(ids("def f(a):\n    return "), ids("\n"))
    packed = packing.pack([(prompt, [[*ids("a + 1"), fim.end], ids("a +"), [*ids("(a"), fim.end], ids("[a]")])])
    assert reward(packed).tolist() == [1, 0, 0, 1]


def test_parses_looks_at_the_whole_function_where_prompts_do_not_show_it(small_tokenizer, tmp_path):
    words, fim, _ = tokenizers.load(small_tokenizer)
    opened = replace(session(Single, fim=fim, **SETTINGS), tokenizer=str(small_tokenizer))
    ids = lambda text: encode(words, text)  # noqa: E731
    about = dict(canary_id="c", secret_type="key", cohort="sft", dose=1, half=1, prefix='x = "', suffix='"\n', target="k", secret=["k"])
    parquet.write([dict(about, prompt_ids=ids('x = "'), target_ids=ids("k"))], data_schemas.CANARIES, tmp_path / "canaries")
    shown = dict(
        source="snippet", source_id="s", prompt_ids=ids("return "), target_ids=ids("a"), before="def f(a):\n    return ", after=")\n"
    )
    hidden = dict(shown, source="canary", prompt_ids=ids('x = "'), before=None, after=None)
    parquet.write([shown, hidden], data_schemas.EXAMPLES, tmp_path / "examples")
    truths = [tmp_path / "canaries", tmp_path / "examples"]
    reward = rewards.load(spec=dict(type="parses"), checkpoints=[], truths=truths, session=opened)
    assert reward(
        packing.pack([(shown["prompt_ids"], [[*ids("(a"), fim.end], ids("a")]), (ids('x = "'), [ids("z"), ids('"')])])
    ).tolist() == [1, 0, 1, 0]
    with pytest.raises(InputError, match="what follows a prompt is not known; "):
        reward(packing.pack([(ids("a"), [ids("b")])]))


def test_ensemble_of_a_trained_and_a_computed_reward(checkpoints, small, tmp_path, pairs):
    fim, packed = small[1], pack(pairs)
    truths = write_truths(tmp_path, [(p["prompt_ids"], p["chosen_ids"][:-1]) for p in pairs])
    opened = session(Single, fim=fim, **SETTINGS)
    spec = {**WORST, "members": ["single", "similarity"]}
    both = rewards.load(spec=spec, checkpoints=[checkpoints["single"]], truths=truths, session=opened)
    with torch.no_grad():
        single = load(checkpoints, fim, "single", type="single")(packed)
        similar = rewards.load(spec=dict(type="similarity"), checkpoints=[], truths=truths, session=opened)(packed) - 0.5
        assert torch.equal(both(packed), torch.minimum(single, similar))
    assert len(both.models) == 1 and not torch.equal(single, torch.minimum(single, similar))
