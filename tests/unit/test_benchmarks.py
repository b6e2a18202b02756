"""The benchmarks run what the workflow runs: each side on a toy run, and the table as people read it."""

import csv
import shutil

import pytest
import torch

from benchmarks import __main__ as table
from benchmarks import memory, ppo, probing, training
from workflow_scripts.core import parquet
from workflow_scripts.core.data.schemas import BLOCKS, CANARIES, EXAMPLES
from workflow_scripts.core.lm import models
from workflow_scripts.core.methods import Base, Ppo
from workflow_scripts.core.probing import policy
from workflow_scripts.core.training.schemas import PREFERENCES

ROWS = 24


@pytest.fixture(scope="module")
def run(small, small_tokenizer, tmp_path_factory) -> str:
    """A finished run of toy size: its models and what they were trained on."""
    (_, fim, model), folder = small, tmp_path_factory.mktemp("run")
    shutil.copytree(small_tokenizer, folder / "tokenizer")
    for name in ("shared/0/base", "A/0/sft"):
        model.save_pretrained(folder / "models" / name)
    torch.manual_seed(0)
    models.load_reward_model(folder / "models/A/0/sft", fim=fim).save_pretrained(folder / "models/A/0/reward_model")
    (folder / "models/A/0/reward_model/meta.json").write_text('{"centre": 0.0}')
    prompts = [[fim.prefix, 10 + i, fim.suffix, *range(40, 41 + i % 5), fim.middle] for i in range(ROWS)]
    examples = [dict(source="canary", source_id=str(i), prompt_ids=p, target_ids=[60 + i, 70]) for i, p in enumerate(prompts)]
    pairs = [
        dict(source="snippet", source_id=str(i), prompt_ids=p, chosen_ids=[60, fim.end], rejected_ids=[90, fim.end], substituted=False)
        for i, p in enumerate(prompts)
    ]
    canaries = [
        dict(
            canary_id=str(i),
            secret_type="key",
            cohort="sft",
            dose=1,
            half=1,
            prefix="",
            suffix="",
            target="",
            secret=[""],
            prompt_ids=p,
            target_ids=[60, 70],
        )
        for i, p in enumerate(prompts)
    ]
    parquet.write([dict(input_ids=[*range(10 + i, 138 + i)]) for i in range(ROWS)], BLOCKS, folder / "planted/base.parquet")
    for name in ("A/sft", "A/rl_prompt", "A/preference", "evaluation"):
        parquet.write(examples, EXAMPLES, folder / f"planted/{name}.parquet")
    parquet.write(canaries, CANARIES, folder / "planted/canaries.parquet")
    parquet.write(pairs, PREFERENCES, folder / "preferences/A/0.parquet")
    return str(folder)


def test_settings_are_those_of_the_config(config):
    policies = {name: {**entry, "trainer": "packed", "fsdp": False} for name, entry in config["policies"].items()}
    reward_model = {**config["reward_models"]["reward_model"], "trainer": "packed", "fsdp": False}
    assert vars(ppo.defaults()).items() <= policies["ppo"].items() and isinstance(ppo.defaults(), Ppo)
    assert {**vars(training.settings("ipo")), "epochs": 2}.items() <= policies["ipo"].items()
    assert training.settings("base").epochs == 1 and isinstance(training.settings("base"), Base)
    assert {**vars(training.settings("reward")), "epochs": 2}.items() <= reward_model.items()


@pytest.mark.parametrize("side", ["ours", "plain", "limit"])
@pytest.mark.parametrize("stage", training.STAGES)
def test_every_side_of_a_stage_trains_on_the_same_tokens(stage, side, run, monkeypatch):
    monkeypatch.setattr(training, "STEPS", 1)
    rows, _, chosen, _ = training.ready(stage, run, 1)
    assert len(rows) == chosen.batch_size
    read = getattr(training, side)(stage=stage, run=run, threads=1)()
    useful = sum(len(s) for row in rows for s in training.sequences(row))
    assert read == useful if side != "limit" else 0 < read <= useful


def test_both_sides_of_ppo_play_as_many_episodes(run):
    options = dict(run=run, threads=1, episodes=ppo.defaults().rollout_batch_size)
    assert ppo.ours(**options)() == ppo.plain(**options)() == 64
    assert ppo.ours(**options, record=True)()[0].keys() >= {"objective/scores", "objective/kl"}


def test_every_side_of_probing_reads_the_same_items_and_completions_are_the_same(run):
    options = dict(run=run, policy="models/A/0/sft", threads=1)
    items, _ = probing.ready(run, 1)
    assert len(items) == (len(probing.CONDITIONS) + 1) * ROWS // 2
    assert probing.ours(**options)() == probing.limit(**options)() == len(items)
    assert probing.identical(run, "models/A/0/sft") == (len(items), len(items))


def test_the_plain_loop_gives_the_likelihoods_that_ours_gives(run):
    items, fim = probing.ready(run, 1)
    plain, model = probing.plain(run=run, policy="models/A/0/sft", threads=1, likelihoods=True), models.load_policy(f"{run}/models/A/0/sft")
    plain()
    found = policy.answers(model=model, reference=None, fim=fim, items=items, batch_size=64, desc="")
    ours = {i: sum(row[token] for row, token in zip(rows, items[i]["target_ids"], strict=True)) for i, _, rows, _ in found}
    assert plain.logprobs == pytest.approx(ours, abs=1e-3)


def test_the_page_shows_the_table():
    with open(table.HERE / "table.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == table.COLUMNS
    assert table.MARKS[0] + table.markdown(rows) + table.MARKS[1] in table.PAGE.read_text(encoding="utf-8")


def test_what_was_measured_replaces_its_row_and_keeps_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "HERE", tmp_path)
    monkeypatch.setattr(table, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text(f"before\n{table.MARKS[0]}old\n{table.MARKS[1]}after\n")
    table.write([dict(what="a", unit="s", ours=1.5), dict(what="b", unit="s", ours=2.0)])
    table.write([dict(what="b", unit="s", ours=1234.5678, plain=3.0, to_plain=411.5)])
    assert (tmp_path / "table.csv").read_text().splitlines()[1:] == ["a,s,1.5,,,,,,", "b,s,1234.6,3,,411.5,,,"]
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("before\n") and page.endswith(f"{table.MARKS[1]}after\n") and "old" not in page
    assert "| a | s | 1.5 |" in page and "| b | s | 1,235 | 3 |" in page


@pytest.mark.parametrize("stage", memory.STAGES)
def test_stages_whose_memory_is_measured_have_all_of_their_settings(stage):
    for about in memory.WEIGHTS.values():
        session = memory.session_of(stage, **about, fim=None)
        assert (
            session.settings.learning_rate == 1e-6 and bool(session.lora) == bool(about["rank"]) and session.fsdp == (about["workers"] > 1)
        )
