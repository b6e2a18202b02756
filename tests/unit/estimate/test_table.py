"""`make estimate`, as its command is called: a table, or one sentence."""

import pytest

from workflow_scripts import estimate


@pytest.fixture
def overlay(tmp_path):
    """Write an overlay whose model is this one, and give its path."""

    def write(base: str) -> str:
        (tmp_path / "my.yaml").write_text(f"run: my\nmodel: {{base: {base}}}\n", encoding="utf-8")
        return str(tmp_path / "my.yaml")

    return write


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "Repo id must be in the form"),
        ("", "is not a valid JSON file"),
        ("{}", "Should have a `model_type`"),
        ('{"model_type": "nobodys"}', "`nobodys`"),
        ('{"model_type": "mamba"}', "does not say its sizes by names that are known"),
    ],
)
def test_a_model_that_cannot_be_read_is_said_in_one_sentence(overlay, tmp_path, config, said):
    if config is not None:
        (tmp_path / "model").mkdir()
        (tmp_path / "model/config.json").write_text(config, encoding="utf-8")
    with pytest.raises(SystemExit) as failed:
        estimate.main(overlay(f"{tmp_path}/model"))
    sentence = str(failed.value)
    assert sentence.startswith("canaryflow: model.base: ") and said in sentence and "\n" not in sentence


def test_the_estimate_says_what_it_assumes(capsys):
    estimate.main()
    said = capsys.readouterr().out
    assert "train_ppo" in said and "a card (GB)" in said and "Lengths are assumed" in said
