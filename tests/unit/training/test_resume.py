"""A killed stage resumes from its last checkpoint to the weights and the record of an undisturbed run. Real training, real kills."""

import logging
import os
import shutil
import signal

import pytest
import torch
from safetensors import safe_open
from transformers import Trainer

from tests.unit.small import NO_CHECKPOINTS, fresh_reward, killed, same, session
from workflow_scripts.core.data.fim import Fim
from workflow_scripts.core.methods import METHODS, REWARD_TYPES, Lora, Training
from workflow_scripts.core.training import (
    candidates,
    dpo,
    ipo,
    iterative_dpo,
    rrhf,
    sft,
    single_reward,
    slic,
    smoothed_reward,
)
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.trainer import Progress

STAGES = {name: entry.settings for name, entry in (METHODS | REWARD_TYPES).items() if issubclass(entry.settings, Training)}
CANDIDATES = dict(num_generations=3, max_new_tokens=5, missing_eos_penalty=1.0)
OWN = dict(
    ipo=dict(beta=0.3),
    dpo=dict(beta=0.3, length_penalty=0.01),
    slic=dict(delta=2.0, sft_coef=0.1),
    rrhf=dict(sft_coef=0.1, **CANDIDATES),
    iterative_dpo=dict(beta=0.3, **CANDIDATES),
    smoothed=dict(smoothing=0.7),
)
PERCENT = 10
ADAPTED = "+lora"  # a stage that trains additions alone
STAGES |= {f"{name}{ADAPTED}": STAGES[name] for name in ("sft", "smoothed")}
LORA = Lora(r=2, alpha=4.0)


def train(name: str, fim: Fim, parent: str, checkpoints: Checkpoints = NO_CHECKPOINTS) -> tuple[dict, dict]:
    """(weights, record) of a stage of two and a half epochs: 23 steps, or 13 of two micro-batches, the last of an epoch of one."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    adapted, name = dict(lora=LORA) if name.endswith(ADAPTED) else {}, name.removesuffix(ADAPTED)
    settings = dict(epochs=2.5, batch_size=4 if name in ("base", "sft") else 8, learning_rate=3e-3, weight_decay=0.01, warmup_ratio=0.1)
    opened = session(STAGES[name], fim=fim, checkpoints=checkpoints, **settings, **adapted, **OWN.get(name, {}))
    model = opened.load_reward_model(parent) if name in REWARD_TYPES else opened.load_policy(parent)
    return model.state_dict(), learn(name, model, opened, parent)


def learn(name: str, model, opened, parent: str) -> dict:
    """The record of the stage, on 36 rows of what it learns from."""
    fim = opened.fim
    prompts = [[fim.prefix, 10 + i, fim.suffix, *range(40, 40 + i % 5), fim.middle] for i in range(36)]
    examples = [dict(prompt_ids=p, target_ids=[60 + i, *range(70, 70 + i % 3)]) for i, p in enumerate(prompts)]
    pairs = [dict(prompt_ids=p, chosen_ids=[60 + i, fim.end], rejected_ids=[90, 91 + i % 7, 92]) for i, p in enumerate(prompts)]
    if name == "base":
        rows = sft.block_rows([dict(input_ids=[*range(10 + i, 42 + i)]) for i in range(36)])
        return sft.train(model=model, rows=rows, session=opened)
    if name == "sft":
        for layer in model.model.layers:
            layer.self_attn.attention_dropout = 0.1  # so that the random state counts
        return sft.train(model=model, rows=sft.completion_rows(examples, fim), session=opened)
    if name in ("rrhf", "iterative_dpo"):
        rows = candidates.sample(model=model, reward=fresh_reward(parent, fim), prompts=prompts, session=opened)
        return (rrhf if name == "rrhf" else iterative_dpo).train(model=model, rows=rows, session=opened)
    modules = dict(ipo=ipo, dpo=dpo, slic=slic, single=single_reward, smoothed=smoothed_reward)
    more = dict(length_penalty=opened.settings.length_penalty) if name == "dpo" else {}
    return modules[name].train(model=model, pairs=pairs, session=opened, **more)


def train_and_die(stage: tuple, folder: str, step: int, writing: bool) -> None:
    """Train in this process, and kill it at the end of `step`, or halfway through writing the checkpoint of that step."""
    owner, name = (Trainer, "_save_rng_state") if writing else (Progress, "on_step_end")
    real = getattr(owner, name)

    def die(self, *arguments, **options):
        state = self.state if writing else arguments[1]
        if state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *arguments, **options)

    setattr(owner, name, die)
    train(*stage, Checkpoints(folder, PERCENT))


def kill(stage: tuple, folder, *, step: int, writing: bool = False) -> None:
    """Run the stage in a child that kills itself."""
    killed(train_and_die, stage, str(folder), step, writing)


@pytest.fixture(scope="module")
def stage(small, small_checkpoint):
    """Arguments of `train` for a stage, by its name."""
    return lambda name: (name, small[1], small_checkpoint)


@pytest.fixture(scope="module")
def undisturbed(stage):
    """(weights, record) of each stage without checkpoints."""
    return {name: train(*stage(name)) for name in STAGES}


@pytest.fixture(scope="module")
def finished(stage, tmp_path_factory):
    """The checkpoints of a base stage that has run to its end."""
    folder = tmp_path_factory.mktemp("finished") / "checkpoints"
    train(*stage("base"), Checkpoints(str(folder), PERCENT))
    return folder


@pytest.fixture
def checkpoints(finished, tmp_path) -> Checkpoints:
    """A copy of them."""
    shutil.copytree(finished, tmp_path / "checkpoints")
    return Checkpoints(str(tmp_path / "checkpoints"), PERCENT)


@pytest.fixture
def steps_made(monkeypatch) -> list[int]:
    """The optimizer steps of this process."""
    steps = []
    monkeypatch.setattr(Progress, "on_step_end", lambda self, args, state, control, **_: steps.append(state.global_step))
    return steps


def names(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir())


@pytest.mark.parametrize("name", STAGES)
def test_killed_stage_resumes_to_the_result_of_an_undisturbed_run(name, stage, undisturbed, steps_made, tmp_path, monkeypatch):
    weights, record = undisturbed[name]
    total, folder, loads = record["steps"], tmp_path / "checkpoints", []
    kill(stage(name), folder, step=total // 2 + 2)
    real = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: (loads.append(k.get("weights_only")), real(*a, **k))[1])
    again, resumed = train(*stage(name), Checkpoints(str(folder), PERCENT))
    assert steps_made[-1] == total and len(steps_made) <= 0.6 * total and steps_made[0] % 10 != 1, "it resumed between two log rows"
    assert same(weights, again) and resumed == record
    assert names(folder) == ["step-21" if total == 23 else "step-12"], "one is kept, none of the last step"
    assert loads and all(loads), "what was pickled was loaded as weights only"


@pytest.mark.parametrize("name", ["sft", "smoothed"])  # with a random state, and with a buffer; the others are resumed above, and saved too
def test_saving_changes_nothing(name, stage, undisturbed, tmp_path):
    weights, record = undisturbed[name]
    again, saved = train(*stage(name), Checkpoints(str(tmp_path / "checkpoints"), PERCENT))
    assert same(weights, again) and saved == record
    assert names(tmp_path / "checkpoints") == ["step-21" if record["steps"] == 23 else "step-12"]


def test_of_a_model_with_additions_only_they_the_head_and_the_optimizer_are_kept(stage, tmp_path):
    train(*stage(f"smoothed{ADAPTED}"), Checkpoints(str(tmp_path), PERCENT))
    with safe_open(tmp_path / "step-12/model.safetensors", framework="pt") as saved:
        names = {name: saved.get_tensor(name).numel() for name in saved.keys()}  # noqa: SIM118  it is no mapping
    kept = {name for name in names if "lora_" in name}
    assert len(kept) == 2 * 7 * 2 and names.keys() == kept | {"score.weight", "labels"}
    state = torch.load(tmp_path / "step-12/optimizer.pt", weights_only=True)["state"]
    assert sum(len(one["exp_avg"].flatten()) for one in state.values()) == sum(names.values()) - names["labels"]


def test_half_written_checkpoint_is_passed_over_and_a_second_kill_does_no_more_harm(stage, undisturbed, steps_made, tmp_path):
    weights, record = undisturbed["sft"]
    kill(stage("sft"), tmp_path / "checkpoints", step=12, writing=True)
    assert names(tmp_path / "checkpoints") == ["checkpoint-12", "step-9"]
    kill(stage("sft"), tmp_path / "checkpoints", step=12)
    assert names(tmp_path / "checkpoints") == ["step-9"]
    again, resumed = train(*stage("sft"), Checkpoints(str(tmp_path / "checkpoints"), PERCENT))
    assert steps_made[0] == 10 and same(weights, again) and resumed == record


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"])
def test_corrupt_checkpoint_means_a_fresh_start_and_a_line_in_the_log(file, stage, undisturbed, checkpoints, steps_made, tmp_path, caplog):
    weights, record = undisturbed["base"]
    corrupt = tmp_path / "checkpoints/step-21" / file
    corrupt.write_bytes(corrupt.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        again, fresh = train(*stage("base"), checkpoints)
    assert "step-21 cannot be loaded" in caplog.text and "it is removed" in caplog.text
    assert steps_made[0] == 1 and same(weights, again) and fresh == record


def test_older_checkpoint_that_a_kill_left_half_removed_is_not_the_one_resumed_from(stage, undisturbed, checkpoints, steps_made, tmp_path):
    (tmp_path / "checkpoints/step-18").mkdir()
    _, record = train(*stage("base"), checkpoints)
    assert steps_made == [22, 23] and record == undisturbed["base"][1]


@pytest.mark.parametrize("percent", [0, 100])
def test_none_are_made_at_0_percent_nor_at_the_last_step(percent, stage, undisturbed, tmp_path):
    _, record = train(*stage("base"), Checkpoints(str(tmp_path / "checkpoints"), percent))
    assert record == undisturbed["base"][1] and not list(tmp_path.glob("checkpoints/*"))
