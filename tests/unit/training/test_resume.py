"""A killed stage goes on from its last checkpoint to the weights and the record of an undisturbed run. Real training, real kills."""

import logging
import multiprocessing
import os
import signal

import pytest
import torch
from transformers import Trainer

from tests.unit.small import fresh_reward
from workflow_scripts.core.training import candidates, dpo, ipo, lora, models, iterative_dpo, reward, rrhf, sft, slic, smoothing
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.trainer import Progress, Stage

STAGES = ("base", "sft", "ipo", "dpo", "slic", "rrhf", "iterative_dpo", "reward", "smoothed", "lora")
PERCENT = 10
PROCESSES = multiprocessing.get_context("forkserver")  # children start with the libraries imported, and with none of our threads
PROCESSES.set_forkserver_preload([__name__])


def train(name: str, tokenizer, fim, parent: str, checkpoints: Checkpoints | None = None) -> tuple[dict, dict]:
    """(weights, record) of a stage of two and a half epochs: 23 steps, or 13 of two micro-batches, the last of an epoch of one."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    prompts = [[fim.prefix, 10 + i, fim.suffix, *range(40, 40 + i % 5), fim.middle] for i in range(36)]
    examples = [dict(prompt_ids=p, target_ids=[60 + i, *range(70, 70 + i % 3)]) for i, p in enumerate(prompts)]
    pairs = [dict(prompt_ids=p, chosen_ids=[60 + i, fim.end], rejected_ids=[90, 91 + i % 7, 92]) for i, p in enumerate(prompts)]
    shared = dict(seed=0, device="cpu", desc=name, epochs=2.5, learning_rate=3e-3, weight_decay=0.01, warmup_ratio=0.1)
    stage = Stage(**shared, batch_size=4 if name in ("base", "sft") else 8, checkpoints=checkpoints)
    model = models.load_reward_model(parent, fim=fim) if name in ("reward", "smoothed") else models.load_policy(parent)
    if name == "base":
        rows = sft.block_rows([dict(input_ids=[*range(10 + i, 42 + i)]) for i in range(36)])
        record = sft.train(model=model, rows=rows, stage=stage)
    elif name == "sft":
        for layer in model.model.layers:
            layer.self_attn.attention_dropout = 0.1  # so that the random state counts
        record = sft.train(model=model, rows=sft.completion_rows(examples, fim), stage=stage)
    elif name == "ipo":
        reference = models.load_policy(parent)
        record = ipo.train(model=model, reference=reference, pairs=pairs, beta=0.3, stage=stage)
        assert difference(reference.state_dict(), models.load_policy(parent).state_dict()) == 0
    elif name == "smoothed":
        record = smoothing.train(model=model, pairs=pairs, smoothing=0.7, stage=stage)
    elif name == "dpo":
        record = dpo.train(model=model, reference=model, pairs=pairs, beta=0.3, length_penalty=0.01, stage=stage)
    elif name == "lora":
        record = lora.train(model=model, rows=sft.completion_rows(examples, fim), rank=4, alpha=8, stage=stage)
    elif name == "slic":
        record = slic.train(model=model, pairs=pairs, delta=2.0, sft_coef=0.1, stage=stage)
    elif name == "reward":
        record = reward.train(model=model, pairs=pairs, stage=stage)
    else:
        how = candidates.Sampling(seed=0, device="cpu", desc=name, samples=3, max_new_tokens=5, temperature=1.0, missing_eos_penalty=1.0)
        rows = candidates.sample(model=model, reward=fresh_reward(parent, fim), fim=fim, asked=prompts, how=how)
        if name == "rrhf":
            record = rrhf.train(model=model, rows=rows, sft_coef=0.1, stage=stage)
        else:
            record = iterative_dpo.train(model=model, rows=rows, beta=0.3, stage=stage)
    return model.state_dict(), record


def difference(one: dict, other: dict) -> float:
    """The largest difference between two sets of weights."""
    assert one.keys() == other.keys()
    return max(float((one[k] - other[k]).abs().max()) for k in one)


def train_and_die(stage: tuple, folder: str, step: int, writing: bool) -> None:
    """Train in this process, and kill it at the end of `step`, or halfway through writing the checkpoint of that step."""

    owner, name = (Trainer, "_save_rng_state") if writing else (Progress, "on_step_end")
    real = getattr(owner, name)

    def die(self, *arguments, **more):
        state = self.state if writing else arguments[1]
        if state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *arguments, **more)

    setattr(owner, name, die)
    train(*stage, Checkpoints(folder, PERCENT))


def kill(stage: tuple, folder, *, step: int, writing: bool = False) -> None:
    """Run the stage in a child that kills itself."""
    child = PROCESSES.Process(target=train_and_die, args=(stage, str(folder), step, writing))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL


@pytest.fixture
def stage(small, tmp_path):
    """Arguments of `train` for a stage, by its name."""
    tokenizer, fim, model = small
    model.save_pretrained(tmp_path / "parent")
    return lambda name: (name, tokenizer, fim, str(tmp_path / "parent"))


@pytest.fixture(scope="module")
def undisturbed(small, tmp_path_factory):
    """(weights, record) of each stage without checkpoints."""
    tokenizer, fim, model = small
    parent = tmp_path_factory.mktemp("parent")
    model.save_pretrained(parent)
    return {name: train(name, tokenizer, fim, str(parent)) for name in STAGES}


@pytest.fixture
def steps_made(monkeypatch) -> list[int]:
    """The optimizer steps that are made in this process."""
    made = []
    monkeypatch.setattr(Progress, "on_step_end", lambda self, args, state, control, **_: made.append(state.global_step))
    return made


def names(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir())


@pytest.mark.parametrize("name", STAGES)
def test_killed_stage_goes_on_to_the_result_of_an_undisturbed_run(name, stage, undisturbed, steps_made, tmp_path, monkeypatch):
    weights, record = undisturbed[name]
    total, folder, loads = record["steps"], tmp_path / "checkpoints", []
    kill(stage(name), folder, step=total // 2 + 2)
    real = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: (loads.append(k.get("weights_only")), real(*a, **k))[1])
    again, resumed = train(*stage(name), Checkpoints(str(folder), PERCENT))
    assert steps_made[-1] == total and len(steps_made) <= 0.6 * total and steps_made[0] % 10 != 1, "it resumed between two log rows"
    assert difference(weights, again) == 0 and resumed == record
    assert loads and all(loads), "what was pickled was loaded as weights only"


@pytest.mark.parametrize("name", STAGES)
def test_saving_changes_nothing(name, stage, undisturbed, tmp_path):
    weights, record = undisturbed[name]
    again, saved = train(*stage(name), Checkpoints(str(tmp_path / "checkpoints"), PERCENT))
    assert difference(weights, again) == 0 and saved == record
    assert names(tmp_path / "checkpoints") == ["step-21" if record["steps"] == 23 else "step-12"], "one is kept, none of the last step"


def test_half_written_checkpoint_is_passed_over_and_a_second_kill_does_no_more_harm(stage, undisturbed, steps_made, tmp_path):
    weights, record = undisturbed["sft"]
    kill(stage("sft"), tmp_path / "checkpoints", step=12, writing=True)
    assert names(tmp_path / "checkpoints") == ["checkpoint-12", "step-9"]
    kill(stage("sft"), tmp_path / "checkpoints", step=12)
    assert names(tmp_path / "checkpoints") == ["step-9"]
    again, resumed = train(*stage("sft"), Checkpoints(str(tmp_path / "checkpoints"), PERCENT))
    assert steps_made[0] == 10 and difference(weights, again) == 0 and resumed == record


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"])
def test_corrupt_checkpoint_means_a_fresh_start_and_a_line_in_the_log(file, stage, undisturbed, steps_made, tmp_path, caplog):
    weights, record = undisturbed["base"]
    checkpoints = Checkpoints(str(tmp_path / "checkpoints"), PERCENT)
    train(*stage("base"), checkpoints)
    steps_made.clear()
    corrupt = tmp_path / "checkpoints/step-21" / file
    corrupt.write_bytes(corrupt.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        again, fresh = train(*stage("base"), checkpoints)
    assert "step-21 cannot be loaded" in caplog.text and "it is removed" in caplog.text
    assert steps_made[0] == 1 and difference(weights, again) == 0 and fresh == record


def test_older_checkpoint_that_a_kill_left_half_removed_is_not_the_one_resumed_from(stage, undisturbed, steps_made, tmp_path):
    checkpoints = Checkpoints(str(tmp_path / "checkpoints"), PERCENT)
    train(*stage("base"), checkpoints)
    steps_made.clear()
    (tmp_path / "checkpoints/step-18").mkdir()
    _, record = train(*stage("base"), checkpoints)
    assert steps_made == [22, 23] and record == undisturbed["base"][1]


@pytest.mark.parametrize("percent", [0, 100])
def test_none_are_made_at_0_percent_nor_at_the_last_step(percent, stage, undisturbed, tmp_path):
    _, record = train(*stage("base"), Checkpoints(str(tmp_path / "checkpoints"), percent))
    assert record == undisturbed["base"][1] and not list(tmp_path.glob("checkpoints/*"))
