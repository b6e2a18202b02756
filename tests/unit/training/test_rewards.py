"""Kinds of reward models: their arithmetic by hand, each trained for real, and read back from its checkpoint."""

import json
import math
import runpy
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from workflow_scripts.core import job, parquet
from workflow_scripts.core.training import schemas, length, models, packing, reward, rewards, smoothing
from workflow_scripts.core.training.trainer import Stage

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow_scripts"
STAGE = Stage(seed=0, device="cpu", desc="test", epochs=3, batch_size=8, learning_rate=1e-2, weight_decay=0.0, warmup_ratio=0.0)


@pytest.fixture(scope="module")
def parent(small, tmp_path_factory) -> str:
    """The checkpoint that reward models start from."""
    path = tmp_path_factory.mktemp("parent")
    small[2].save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def pairs(small) -> list[dict]:
    """40 pairs in which token 60 is chosen before token 90; the rejected completions are longer, and one of eight has the two exchanged."""
    fim, made = small[1], []
    for i in range(40):
        better, worse = [60, 20 + i, fim.end], [90, 91, 92 + i % 7, *range(30, 30 + i % 4)]
        chosen, rejected = (worse, better) if i % 8 == 0 else (better, worse)
        made.append(dict(prompt_ids=[fim.prefix, 10 + i, fim.suffix, fim.middle], chosen_ids=chosen, rejected_ids=rejected))
    return made


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
    found = rewards.score(reward=fixed, packed=packed, ended=ended, missing_eos_penalty=0.5, length_penalty=0.25)
    assert found.tolist() == [1 - 0.75, 2 - 0.5 - 0.25, 3 - 0.5]


def test_soft_labels_by_hand():
    margin, labels = torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 0.5])  # sigmoid 1/2 and 3/4
    expected = -(math.log(0.5) + 0.5 * math.log(0.75) + 0.5 * math.log(0.25)) / 2
    assert float(smoothing.soft_loss(margin, labels)) == pytest.approx(expected)
    assert smoothing.moved(labels, margin, 0.2).tolist() == pytest.approx([0.8 + 0.1, 0.4 + 0.15])
    assert not smoothing.moved(labels, margin.requires_grad_(), 0.2).requires_grad


def test_length_reward_finds_the_bradley_terry_model_that_made_the_pairs():
    """Two lengths, the longer one chosen in 30 of 40 pairs: the margin is log 3, as the logit of 3/4."""
    pair = lambda chosen, rejected: dict(chosen_ids=[0] * chosen, rejected_ids=[0] * rejected)  # noqa: E731
    found = length.fit([pair(9, 4)] * 30 + [pair(4, 9)] * 10)
    long, short = length.rewards([9, 4], fitted=found["fitted"])
    assert long - short == pytest.approx(math.log(3), abs=0.02)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found["loss"] == pytest.approx(entropy, abs=1e-3) and found["accuracy"] == 0.75 and found["pairs"] == 40


def test_length_reward_bends_where_the_middle_is_best():
    pair = lambda chosen, rejected: dict(chosen_ids=[0] * chosen, rejected_ids=[0] * rejected)  # noqa: E731
    fitted = length.fit([pair(8, 2), pair(8, 14), pair(7, 3), pair(9, 13)] * 10)["fitted"]
    low, best, high = length.rewards([2, 8, 14], fitted=fitted)
    assert best > low + 1 and best > high + 1, "finite, though lengths alone tell all pairs apart"


def test_length_reward_of_pairs_of_one_length_says_nothing():
    found = length.fit([dict(chosen_ids=[1, 2], rejected_ids=[3, 4])] * 3)
    assert found["accuracy"] == 0.5 and found["loss"] == pytest.approx(math.log(2))
    assert len(set(length.rewards([2, 9], fitted=found["fitted"]))) == 1


# ------------------------------------------------------------------------------------------------------------------------ training


def trained(parent, fim, pairs, **changes):
    """(model, record) of a smoothed reward model."""
    torch.manual_seed(0)
    model = models.load_reward_model(parent, fim=fim)
    options = {"smoothing": 0.7, **changes}
    return model, smoothing.train(
        model=model, pairs=pairs, smoothing=options["smoothing"], stage=replace(STAGE, **changes.get("stage", {}))
    )


def test_labels_that_are_not_smoothed_give_the_single_reward_model(small, parent, pairs):
    torch.manual_seed(0)
    plain = models.load_reward_model(parent, fim=small[1])
    record = reward.train(model=plain, pairs=pairs, stage=STAGE)
    same, again = trained(parent, small[1], pairs, smoothing=0.0)
    assert (
        all(torch.equal(same.state_dict()[k], x) for k, x in plain.state_dict().items())
        and same.state_dict().keys() == plain.state_dict().keys()
    )
    assert (
        again["centre"] == record["centre"]
        and [{k: v for k, v in row.items() if k != "label"} for row in again["history"]] == record["history"]
    )


def test_smoothing_takes_exchanged_pairs_less_seriously(small, parent, pairs):
    hard, soft = (trained(parent, small[1], pairs, smoothing=s, stage=dict(epochs=8)) for s in (0.0, 0.7))
    labels = [row["label"] for row in soft[1]["history"] if "label" in row]
    assert labels[0] > labels[-1] and all(0 < x <= 1 for x in labels) and {r.get("label", 1.0) for r in hard[1]["history"]} == {1.0}
    with torch.no_grad():
        margins = [reward.margins(model.eval(), pairs) for model, _ in (hard, soft)]
    exchanged = torch.arange(len(pairs)) % 8 == 0
    learnt = [float(m[~exchanged].mean()) for m in margins]
    noise = [float(m[exchanged].mean()) for m in margins]
    assert learnt[1] > 0 > noise[1] and noise[0] > noise[1] * learnt[0] / learnt[1], (learnt, noise)


def test_the_centre_is_the_mean_score(small, parent, pairs):
    torch.manual_seed(0)
    model = models.load_reward_model(parent, fim=small[1])
    record = reward.train(model=model, pairs=pairs, stage=STAGE)
    with torch.no_grad():
        assert record["centre"] == pytest.approx(float(packing.scores(model, pack(pairs)).mean()), abs=1e-5)


def run(script: str, files: dict, settings: dict, folder: Path, monkeypatch) -> str:
    """The checkpoint that a training script writes."""
    folder.mkdir()
    made = SimpleNamespace(
        name=script,
        input=SimpleNamespace(**files),
        output=SimpleNamespace(model=str(folder / "model")),
        config={"reward_models.rm": settings},
        wildcards=SimpleNamespace(reward="rm", arm="A", seed="0"),
        threads=1,
        gpu=0,
        checkpoint_folder=None,
        checkpoint_percent=0,
    )

    @contextmanager
    def stand_in(_):
        yield made

    monkeypatch.setattr(job, "job", stand_in)
    runpy.run_path(str(SCRIPTS / f"{script}.py"), init_globals={"snakemake": None})
    return made.output.model


@pytest.fixture
def made(small, parent, pairs, tmp_path, monkeypatch, config) -> dict[str, str]:
    """A checkpoint of each kind, by its own script with the default settings."""
    tokenizer, fim, _ = small
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    monkeypatch.setattr("workflow_scripts.core.data.tokenizer.load", lambda path: (tokenizer, fim, None))
    rows = [dict(p, source="snippet", source_id=str(i)) for i, p in enumerate(pairs)]
    parquet.write(rows, schemas.PREFERENCES, tmp_path / "pairs.parquet")
    files = dict(parent=parent, tokenizer=str(tmp_path / "tokenizer"), pairs=str(tmp_path / "pairs.parquet"))
    kind = lambda name, **more: {**config["reward_types"][name], "kind": name, **more}  # noqa: E731
    asked = dict(
        single=("train_reward_model", kind("single", parent="sft")),
        other=("train_reward_model", kind("single", parent="sft", seed=1)),
        smoothed=("train_smoothed", kind("smoothed", parent="sft")),
        length_only=("train_length_only", kind("length_only")),
    )
    return {name: run(script, files, settings, tmp_path / name, monkeypatch) for name, (script, settings) in asked.items()}


def test_every_kind_is_trained_and_read_back(made, small, pairs):
    fim, packed = small[1], pack(pairs)
    load = lambda *names, **spec: rewards.load(spec=spec, checkpoints=[made[n] for n in names], fim=fim, device="cpu")  # noqa: E731
    about = {name: json.loads((Path(path) / "meta.json").read_text()) for name, path in made.items()}
    with torch.no_grad():
        said = {name: load(name, kind=about[name]["settings"]["kind"])(packed) for name in made}
        pair = load("single", "smoothed", type="ensemble", aggregate="worst", uncertainty_coef=1.0)
        together = pair(packed)
    assert all(x.shape == (2 * len(pairs),) and x.dtype == torch.float32 for x in said.values())
    assert not torch.equal(said["single"], said["other"]), "another seed is another head and another order"
    centred = [said[name] - about[name]["centre"] for name in ("single", "smoothed")]
    assert torch.equal(together, torch.minimum(*centred)) and not torch.equal(together, centred[0])
    assert said["length_only"].tolist() == pytest.approx(length.rewards(packed.sizes, fitted=about["length_only"]["fitted"]), rel=1e-5)
    assert about["length_only"]["accuracy"] > 0.8 and about["smoothed"]["steps"] == 9 and about["single"]["steps"] == 3
    assert sorted(p.name for p in Path(made["length_only"]).iterdir()) == ["meta.json"]
    assert "labels" not in load("smoothed", type="smoothed").models[0].state_dict()


def test_a_value_model_is_a_copy_of_the_first_network_or_fresh(made, small, parent):
    load = lambda *names, **spec: rewards.load(spec=spec, checkpoints=[made[n] for n in names], fim=small[1], device="cpu")  # noqa: E731
    options = dict(parent=parent, fim=small[1], device="cpu")
    ensemble = load("single", "other", type="ensemble", aggregate="mean", uncertainty_coef=1.0)
    copied = rewards.value_model(reward=ensemble, **options)
    first = load("single", type="single").models[0].state_dict()
    assert copied is not ensemble.models[0] and all(torch.equal(x, first[k]) for k, x in copied.state_dict().items())
    fresh = rewards.value_model(reward=load("length_only", type="length_only"), **options)
    assert torch.equal(fresh.model.layers[0].mlp.up_proj.weight, small[2].model.layers[0].mlp.up_proj.weight)
    assert not torch.equal(fresh.score.weight, copied.score.weight)
