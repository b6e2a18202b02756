"""What a config may say of policies trained elsewhere and of own secrets: each mistake is one sentence, and a single arm stands for one."""

import pytest
from snakemake.utils import update_config

from tests.conftest import SCHEMA
from workflow_scripts.core.config.elsewhere import arms_of, one_armed, places
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.methods import METHODS
from workflow_scripts.core.results.text.elsewhere import elsewhere


def mine(**settings) -> dict:
    return {"policies": {"mine": {"method": "external", "parent": "sft", **settings}}}


ALONE = mine(path="trained/A", arm="A")
BAD = {
    # id -> (overlay, words of the sentence)
    "no path": (mine(), "policies.mine has no path; name the folder"),
    "no parent": ({"policies": {"mine": {"method": "external", "path": "x/{arm}"}}}, "policies.mine has no parent"),
    "another placeholder": (mine(path="x/{arm}/{step}"), "policies.mine.path has {step}, and only {arm} and {seed} are filled in"),
    "an empty placeholder": (mine(path="x/{arm}/{}"), "policies.mine.path has {}, and only"),
    "in the adapter's base": (mine(path="x/{arm}", adapter_base="b/{run}"), "policies.mine.adapter_base has {run}, and only"),
    "one for both arms": (mine(path="trained"), "policies.mine.path trained is one checkpoint for two arms; put {arm} into it, or say"),
    "both and one": (mine(path="x/{arm}", arm="B"), "policies.mine.path has {arm}, which stands for both arms, and arm is B"),
    "an arm that is none": (mine(path="x", arm="C"), "policies.mine.arm is 'C'; choose one of A, B"),
    "one for all seeds": ({"seeds": [0, 1], **mine(path="x/{arm}")}, "is one checkpoint for 2 seeds, and would count as so many"),
    "another key": (mine(path="x/{arm}", base="y"), "unknown key policies.mine.base"),
    "a single arm as reference": (
        {**ALONE, "report": {"reference_policy": "mine"}},
        "report.reference_policy is 'mine', of which there is a",
    ),
    "a single arm in a contrast": (
        {**ALONE, "report": {"contrasts": [["mine", "sft"]]}},
        "report.contrasts.0 is 'mine', of which there is a",
    ),
    "a single arm under a reward": (
        {**ALONE, "reward_models": {"r": {"type": "single", "parent": "mine"}}},
        "reward_models.r.parent is 'mine'",
    ),
    "a parent of ours": (
        {"policies": {**mine(path="x/{arm}")["policies"], "more": {"method": "ppo", "parent": "mine"}}},
        "policies.more of method ppo cannot start from mine",
    ),
    "the sampler": ({**mine(path="x/{arm}"), "preferences": {"sampler": "mine"}}, "preferences.sampler is 'mine'"),
    "secrets without a file": ({"canaries": {"source": "file"}}, "canaries.source file needs canaries.path; name the file"),
    "a file that is not read": (
        {"canaries": {"path": "x.jsonl"}},
        "canaries.source generated reads no canaries.path; set it to file or mixed",
    ),
    "a source that is none": ({"canaries": {"source": "files"}}, "canaries.source is 'files'; did you mean file?"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_sentence(name, defaults):
    overlay, said = BAD[name]
    update_config(defaults, overlay)
    with pytest.raises(InputError) as error:
        resolve(defaults, SCHEMA)
    assert said in str(error.value) and str(error.value).startswith("config: ") and "; " in str(error.value)


def test_paths_are_filled_in_for_each_checkpoint(defaults):
    update_config(defaults, {"seeds": [0, 7], **mine(path="t/{arm}/{seed}", adapter_base="b/{arm}")})
    policies = resolve(defaults, SCHEMA)["policies"]
    assert arms_of(policies["mine"]) == ["A", "B"] and one_armed(policies) == {}
    assert places(policies["mine"], arm="B", seed=7) == {"path": "t/B/7", "adapter_base": "b/B"}


def test_a_single_arm_is_said_to_be_one(defaults):
    update_config(defaults, ALONE)
    policies = resolve(defaults, SCHEMA)["policies"]
    assert one_armed(policies) == {"mine": "A"} and arms_of(policies["mine"]) == ["A"] and arms_of(policies["sft"]) == ["A", "B"]
    assert places(policies["mine"], arm="A", seed=0) == {"path": "trained/A", "adapter_base": None}
    said = elsewhere(policies)
    assert "mine: trained elsewhere" in said and "mine (arm A)" in said and "no counterfactual rate" in said


def test_nothing_is_said_where_nothing_is_from_elsewhere(config, defaults):
    assert elsewhere(config["policies"]) == ""
    update_config(defaults, mine(path="x/{arm}"))
    said = elsewhere(resolve(defaults, SCHEMA)["policies"])
    assert "is assumed" in said and "counterfactual" not in said


def test_it_may_descend_from_any_policy():
    assert set(METHODS["external"].parents) == set(METHODS)
