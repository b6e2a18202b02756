"""Each caption of Snakemake's report renders with what its rule declares: the config values and params that its script reads."""

import re
from types import SimpleNamespace

import jinja2
import pytest

from tests.unit.results import synthetic
from tests.unit.results.figures.drawing import FIGURES
from workflow_scripts.core.freshness.code import ROOT, SCRIPTS
from workflow_scripts.core.results.tables.registry import TABLES

CAPTIONS = ROOT / "rules/report"
MADE_BY = [  # (caption, script): a caption has the name of its table or figure, or of its page
    *((f"tables/{table}", f"summarize_{table}") for table in TABLES),
    *((f"figures/{figure}", f"plot_{figure}") for figure in FIGURES),
    ("tables/headline", "summarize_memorization"),
    ("report", "render_report"),
    ("summary", "render_summary"),
]
STUDY = "study"  # the text on the front page, which sees the whole config
PARAMS = dict(references={"ppo": "sft", "ipo": "sft"}, later=synthetic.LATER, aligned=synthetic.ALIGNED, policies=synthetic.POLICIES)


def declared(script: str, config: dict) -> SimpleNamespace:
    """The params that the rule of a script has to declare, since a script sees no others."""
    text = (SCRIPTS / f"{script}.py").read_text(encoding="utf-8")
    paths, names = re.findall(r'j\.config\["([^"]+)"\]', text), re.findall(r"j\.params\.(\w+)", text)
    values = {path: config[path.split(".")[0]] if "." not in path else config[path.split(".")[0]][path.split(".")[1]] for path in paths}
    return SimpleNamespace(config=values, **{name: PARAMS[name] for name in names if name in PARAMS})


def rendered(caption: str, **given) -> str:
    """The caption's text; a name that is not there is an error."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    text = (CAPTIONS / f"{caption}.rst").read_text(encoding="utf-8")
    return environment.from_string(text).render(snakemake=SimpleNamespace(**given))


@pytest.mark.parametrize(("caption", "script"), MADE_BY)
def test_a_caption_renders_with_what_its_rule_declares(caption, script, config):
    text = rendered(caption, params=declared(script, config))
    assert len(text) > 50 and "{" not in text and "None" not in text and "  " not in text


def test_captions_name_the_values_of_the_run(config):
    text = {caption: rendered(caption, params=declared(script, config)) for caption, script in MADE_BY}
    assert "Of the canaries that sft memorized" in text["tables/persistence"] and "minus that under sft" in text["figures/shift"]
    assert "perplexity_ratio within 0.15 of sft" in text["tables/leaderboard"]
    assert "perplexity ratio 1.5, length ratio 1.5, ended drop 0.2" in text["tables/utility"]
    assert "an SFT policy memorized" in rendered("tables/persistence", params=SimpleNamespace(references={}))
    several = rendered("tables/persistence", params=SimpleNamespace(references={"a": "sft", "b": "sft_s", "c": "sft"}))
    assert "Of the canaries that sft or sft_s memorized" in several


def test_the_front_page_renders_with_the_whole_config(config):
    text = rendered(STUDY, config=config)
    assert "95 % interval" in text and "results/default/figures/workflow.svg" in text and "results/default/tables/headline.csv" in text


def test_every_caption_belongs_to_a_script():
    found = {path.relative_to(CAPTIONS).with_suffix("").as_posix() for path in CAPTIONS.rglob("*.rst")}
    assert found == {caption for caption, _ in MADE_BY} | {STUDY}


def test_captions_are_plain_lines():
    """Snakemake renders each as reStructuredText: no line may begin with what has a meaning there."""
    for caption, _ in MADE_BY:
        lines = (CAPTIONS / f"{caption}.rst").read_text(encoding="utf-8").splitlines()
        assert lines and all(line and line[0] not in " .*-=`" for line in lines), caption
