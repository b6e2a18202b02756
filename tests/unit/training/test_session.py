"""A session has the settings, seed and names that its job declares, and saves checkpoints that describe themselves."""

import json
from types import SimpleNamespace

import pytest
import torch

from tests.unit.small import same
from workflow_scripts.core import parquet
from workflow_scripts.core.data.schemas import EXAMPLES
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.methods import Ipo, Single, Slic, pick
from workflow_scripts.core.training import session
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.schemas import PREFERENCES


@pytest.fixture
def job(small_tokenizer):
    """job(wildcards, **config): a job of a rule that declares this config."""

    def make(wildcards: dict, **config) -> SimpleNamespace:
        paths = SimpleNamespace(tokenizer=str(small_tokenizer))
        about = dict(name="train-one", gpu=0, cuda_graphs=False, workers=1, checkpoint_folder="checkpoints", checkpoint_percent=5)
        return SimpleNamespace(input=paths, config=config, wildcards=wildcards, **about)

    return make


def test_a_policy_has_its_settings_and_the_seed_of_the_run(job, config, small):
    entry = config["policies"]["ipo"]
    opened = session.start(job({"policy": "ipo", "arm": "B", "seed": "7"}, **{"policies.ipo": entry}), Ipo)
    assert opened.settings == pick(Ipo, entry) and opened.fim == small[1]
    assert (opened.seed, opened.device, opened.name, opened.section) == (7, "cpu", "train-one", "policies.ipo")
    assert opened.checkpoints == Checkpoints("checkpoints", 5)
    assert opened.about == dict(policy="ipo", parent="sft", settings=entry, arm="B", seed=7)
    assert torch.initial_seed() == 7 and torch.get_num_threads() == entry["threads"]


def test_a_reward_model_adds_its_own_seed_to_that_of_the_run(job, config):
    entry = {**config["reward_models"]["reward_model"], "seed": 100}
    opened = session.start(job({"reward": "rm", "arm": "A", "seed": "7"}, **{"reward_models.rm": entry}), Single)
    assert (opened.seed, torch.initial_seed(), opened.section) == (107, 107, "reward_models.rm")
    assert opened.about == dict(policy="rm", parent="sft", settings=entry, arm="A", seed=7), "the run's"


def test_a_shared_policy_has_no_arm(job, config):
    opened = session.start(job({"policy": "ipo", "seed": "0"}, **{"policies.ipo": config["policies"]["ipo"]}), Ipo)
    assert opened.about["arm"] is None


def test_a_setting_that_the_rule_did_not_declare_is_an_error(job, config):
    with pytest.raises(TypeError, match="delta"):
        session.start(job({"policy": "ipo", "seed": "0"}, **{"policies.ipo": config["policies"]["ipo"]}), Slic)


def test_a_gpu_that_is_not_there_is_an_error(job, config):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    asking = job({"policy": "ipo", "seed": "0"}, **{"policies.ipo": config["policies"]["ipo"]})
    asking.gpu = 1
    with pytest.raises(InputError, match="train-one asks for a GPU and this machine has no CUDA device"):
        session.start(asking, Ipo)


def test_a_job_that_trains_nothing(job, small):
    opened = session.start_without_training(job({"policy": "ipo", "seed": "3"}), threads=1)
    assert (opened.settings, opened.seed, opened.fim, opened.name) == (None, 3, small[1], "train-one") and not opened.checkpoints


def test_a_saved_checkpoint_describes_itself(job, config, small, small_checkpoint, tmp_path):
    opened = session.start(job({"policy": "ipo", "arm": "A", "seed": "0"}, **{"policies.ipo": config["policies"]["ipo"]}), Ipo)
    model = opened.load_policy(small_checkpoint)
    opened.save(model, tmp_path / "model", {"steps": 3, "history": []})
    about = json.loads((tmp_path / "model/meta.json").read_text(encoding="utf-8"))
    assert about.items() >= {**opened.about, "steps": 3, "history": [], "device": "cpu"}.items()
    assert same(opened.load_policy(tmp_path / "model").state_dict(), small[2].state_dict())
    assert {"fim.json", "tokenizer.json", "model.safetensors"} <= {p.name for p in (tmp_path / "model").iterdir()}


def test_a_reward_model_starts_with_a_head_of_its_seed(job, config, small_checkpoint):
    entry, heads = config["reward_models"]["reward_model"], []
    for seed in (0, 0, 1):
        opened = session.start(job({"reward": "rm", "arm": "A", "seed": str(seed)}, **{"reward_models.rm": entry}), Single)
        heads.append(opened.load_reward_model(small_checkpoint).score.weight)
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2]) and heads[0].shape[0] == 1


def test_rows_are_read_as_they_were_written(tmp_path):
    row = dict(source="snippet", source_id="a", prompt_ids=[1])
    parquet.write([{**row, "target_ids": [2]}], EXAMPLES, tmp_path / "examples")
    parquet.write([{**row, "chosen_ids": [2], "rejected_ids": [3], "substituted": False}], PREFERENCES, tmp_path / "pairs")
    assert session.read_examples(tmp_path / "examples") == [{**row, "target_ids": [2]}]
    assert session.read_pairs(tmp_path / "pairs") == [{**row, "chosen_ids": [2], "rejected_ids": [3], "substituted": False}]
    with pytest.raises(InputError, match="does not hold preferences rows"):
        session.read_pairs(tmp_path / "examples")
