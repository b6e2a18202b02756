"""The report is whole on its own, shows every table, and treats all text that it is given as text."""

import base64
import copy
import hashlib
import html as escaping
import json
import math
import re

import pytest

from tests.unit.results import study
from tests.unit.results.figures.drawing import FIGURES
from tests.unit.results.pages.parsed import Page
from workflow_scripts.core import parquet
from workflow_scripts.core.results.pages import html, report
from workflow_scripts.core.results.tables.registry import TABLES

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="2" height="1"><text>picture</text></svg>'
OF_SWEEPS = {"kl_coefficient"}  # figures that a run without a sweep leaves out
EVIL = "</td></script><script>alert('x')</script><img src=http://evil.example onerror=alert(1)>\"'&\u2028{{ 7*7 }}"
SCRIPT = (html.TEMPLATES / "explorer.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def canaries() -> dict:
    return study.explorer()


@pytest.fixture
def given(config, canaries) -> dict:
    """What render is given for the study by hand."""
    about = dict(manifest=study.MANIFEST, versions=study.VERSIONS, receipts=study.RECEIPTS, commit=study.COMMIT, model=study.MODEL)
    return dict(config=config, tables=study.tables(collapsed=("ipo",)), figures=dict.fromkeys(FIGURES, SVG), explorer=canaries, **about)


def test_the_study_by_hand_fits_the_schema_of_every_table(tmp_path):
    made = study.tables()
    assert set(made) == set(TABLES)
    for name, rows in made.items():
        parquet.write(rows, TABLES[name], tmp_path / name)
        assert parquet.read_rows(tmp_path / name, TABLES[name]) == rows


def test_exposure_by_chance_is_the_mean_over_all_ranks():
    assert report.chance_exposure(63) == pytest.approx(sum(6 - math.log2(rank) for rank in range(1, 65)) / 64)
    assert report.chance_exposure(1) == pytest.approx(0.5)


def test_the_page_needs_nothing_but_itself(given):
    text = report.render(**given)
    page = Page(text)
    assert page.open == [] and page.tags.count("script") == 3 and "link" not in page.tags
    inside = [a for a in page.addresses if a.startswith("#")]
    pictures = [a for a in page.addresses if not a.startswith("#")]
    assert len(pictures) == len(FIGURES) - len(OF_SWEEPS) and all(a.startswith("data:image/svg+xml;base64,") for a in pictures)
    assert {a[1:] for a in inside} <= set(page.ids) and len(page.ids) == len(set(page.ids))
    assert not re.search(r"url\(|@import|//[a-z0-9-]+\.", text.replace("application/json", ""))


def test_what_trl_trained_stands_in_the_provenance(given):
    assert "Trained by TRL" not in report.render(**given)
    given["config"]["trainers"] = {"ipo": "trl"}
    assert "Trained by TRL&#39;s trainers, all others by our own loops: ipo." in report.render(**given)


def test_bf16_and_lora_stand_in_the_provenance(given):
    assert "Trained in bf16" not in report.render(**given)
    given["config"]["policies"]["ppo"] |= dict(precision="bf16", lora=dict(r=8, alpha=16))
    text = Page(report.render(**given)).text
    assert "Trained in bf16, references alike: ppo. Trained by LoRA, merged in fp32: ppo (rank 8)." in " ".join(text.split())


def test_the_browser_may_run_the_one_script_and_load_nothing(given):
    text = report.render(**given)
    policy = escaping.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    assert policy.startswith("default-src 'none'; img-src data:; ")
    digest = base64.b64encode(hashlib.sha256(Page(text).scripts[2].encode()).digest()).decode()
    assert Page(text).scripts[2] == SCRIPT and f"script-src 'sha256-{digest}'" in policy


def test_the_sections_come_in_the_order_that_was_asked_for(given):
    text = report.render(**given)
    heads = re.findall(r"<h2[^>]*>([^<]*)</h2>", text)
    assert heads == [
        "Which policy leaks least at matched utility",
        "The stages",
        "By dose",
        "Which secrets",
        "What stays after sft",
        "The same canaries under two policies",
        "Leakage against utility",
        "What greedy decoding does not see",
        "How much context extraction needs",
        "Single canaries",
        "Utility and cost",
        "Audit and parity",
        "Methods and definitions",
        "Provenance",
    ]


def test_the_first_screen_is_the_question_four_lines_and_the_heat_map(given):
    text = html_without_style(report.render(**given))
    first = text[text.index("<body>") : text.index("</figure>")]
    places = [first.index(words) for words in ("What of the training data", "Fine-tuning data stays memorized after PPO", "<img")]
    assert places == sorted(places) and first.count("<li>") == 5 + 4 and first.count("<img") == 1 and "<table" not in first
    assert re.findall('class="verdict">([^<]*)<', first) == [
        *["● passed", "● passed", "– to know", "● passed", "● passed"],
        *["● shown for these checkpoints"] * 3,
        "○ not shown for these checkpoints",
    ]
    assert first.index("Declared before any result") < first.index("Fine-tuning data stays memorized after PPO")
    assert "ipo has collapsed (perplexity)" in first
    assert "<strong>Reward-model data comes back less than directly trained data</strong>: ppo 0 of 64 (" in first
    assert text.index("</figure>") < text.index("How each verdict is decided") < text.index("<nav")


def html_without_style(text: str) -> str:
    """The page without its style, on one line, with plain spaces."""
    return " ".join(re.sub("<style>.*?</style>", "", text, flags=re.DOTALL).replace("\u00a0", " ").split())


def test_every_criterion_and_what_decides_it_is_on_the_page(given):
    rows = [
        [" ".join(cell.replace("\u00a0", " ").replace("\u2060", "").split()) for cell in row] for row in Page(report.render(**given)).rows
    ]
    (shielded,) = [row for row in rows if row[0] == "Reward-model data comes back less than directly trained data"]
    assert shielded[1] == "shown for these checkpoints"
    assert shielded[2].startswith(
        "ppo 0 of 64 (0–6 %), sft_chosen 34 of 64 (40–66 %); sft_chosen − ppo: extraction +55 points (+48 to +62, p = 0.001)"
    )
    assert shielded[3].startswith("Shown if an endpoint differs (direct training − PPO, each seen − unseen) above 0")


def test_the_tables_hold_the_numbers(given):
    rows = Page(report.render(**given)).rows
    assert ["sft", "58 %37/64, 45–70 %", *["0 %0/64, 0–6 %"] * 3, "1.0042.8 (39.8–45.8)"] in rows
    assert ["ppo", "sft", "16", "48", "13", "11", "85 %55–98 %", "2", "0", "0.500"] in rows
    (contrast,) = [row for row in rows if row[:5] == ["ppo − sft_chosen", "preference", "64", "−56 points", "−1 point"]]
    assert contrast[5] == "−55 points−62 to −48" and contrast[8:] == ["< 0.001", "0.001", "11 points"]
    assert ["sft", "+2.36+1.94 to +2.78\n3.80 against 1.44", *["+0.12−0.30 to +0.54\n1.56 against 1.44"] * 3] in rows
    assert ["sft", "sft", "69 %11/16, 41–89 %", "56 %9/16, 30–80 %", "50 %8/16, 25–75 %", "38 %6/16, 15–65 %", "0.030"] in rows
    assert ["train_sft", "2", "20 min", "19 min", "1,500", "–", "11.1 M", "cpu"] in rows
    assert ["sft", "bfloat16", "1", "64", "8 %5/64, 3–17 %"] in rows
    assert [r[0] for r in rows].count("ipo (collapsed)") >= 8


def test_what_stays_names_the_references_where_there_are_several(given):
    rows = [{**r, "reference_policy": "sft_s" if r["policy"] == "ipo" else "sft"} for r in given["tables"]["persistence"]]
    page = Page(report.render(**{**given, "tables": {**given["tables"], "persistence": rows}}))
    assert ["ppo", "sft", "sft", "16", "48", "13", "11", "85 %55–98 %", "2", "0", "0.500"] in page.rows
    assert ["ipo (collapsed)", "sft_s", "sft"] in [row[:3] for row in page.rows]


def test_tables_and_figures_without_a_place_come_at_the_end(given):
    assert "More tables" not in report.render(**given) and "More figures" not in report.render(**given)
    odd = [
        dict(n=2, shade=None, policy="sft", half=0.123456, collapsed=False),
        dict(n=3, shade="é<", policy="ppo", half=1.0, collapsed=True),
    ]
    tables, figures = {**given["tables"], "odd": odd, "without_rows": []}, {**given["figures"], "odder": SVG}
    page = Page(report.render(**{**given, "tables": tables, "figures": figures}))
    assert ["–", "sft", "2", "0.1235", "False"] in page.rows and ["é< (collapsed)", "ppo", "3", "1", "True"] in page.rows
    assert len([a for a in page.addresses if a.startswith("data:")]) == len(figures) - len(OF_SWEEPS) and page.open == []
    assert {"more-tables", "more-figures"} <= set(page.ids)
    assert "without_rows" not in page.text and page.text.index("Provenance") < page.text.index("odder")


def test_a_table_that_has_no_rows_leaves_a_page(given):
    for name in (
        "persistence",
        "contrast",
        "exposure",
        "recovery",
        "secret_types",
        "extraction_probability",
        "membership",
        "reward_gap",
        "audit",
        "parity",
    ):
        report.render(**{**given, "tables": {**given["tables"], name: []}})
    empty = {name: rows if name in ("memorization", "utility", "cost") else [] for name, rows in given["tables"].items()}
    page = Page(report.render(**{**given, "tables": empty}))
    assert "This run has no audit." in page.text and "Parity was not measured." in page.text and page.open == []
    assert "Exposure, in bits" not in page.text and page.text.count("– not measured") == 3


def test_methods_define_the_terms_with_the_values_of_the_config(given):
    text = " ".join(Page(report.render(**given)).text.split())
    for term in (
        "Memorized",
        "counterfactual",
        "Exposure",
        "(n, p)-discoverable",
        "Membership, AUC and TPR",
        "Contrast",
        "Holm",
        "Reward gap",
    ):
        assert term in text[text.index("Methods and definitions") :], term
    assert "edit distance of at most 0.1" in text and "R = 63 fillings" in text and "temperature 1.0, top-k 40 give" in text
    assert "averaged over tokens, not summed" in text and "power of 80 %" in text
    for name in given["config"]["probes"]["prompts"]:
        assert f"{name}: {report.PROMPTS[name]}" in text


def test_provenance_names_commit_corpus_versions_seeds_hashes_and_the_whole_config(given):
    text = escaping.unescape(report.render(**given))
    assert "a" * 40 + "</code>, with uncommitted changes" in text and "0123456789abcdef0123456789abcdef.dir" in text
    assert "licence: PSF" in text and "documents: 1,300" in text and "base pool: 7,000" in text and "torch 2.12.0 and 2.13.0" in text
    assert "Seeds: 0;" in text and "policies:\n  base:\n    precision: " in text and "perplexity_ratio: 1.5" in text
    assert "no uncommitted change" in report.render(**{**given, "commit": {"id": "b" * 40, "changed": False}})
    assert "not in a git repository" in report.render(**{**given, "commit": None})


def test_text_from_outside_is_escaped_wherever_it_is_shown(given):
    names = {name: EVIL + name for name in study.POLICIES}
    policies = {
        names[n]: {**p, **({"parent": names[p["parent"]]} if "parent" in p else {})} for n, p in given["config"]["policies"].items()
    }
    tables = copy.deepcopy(given["tables"])
    for rows in tables.values():
        for row in rows:
            row |= {
                k: names.get(v, EVIL + v if k not in ("cohort", "probe", "measure", "against") else v)
                for k, v in row.items()
                if isinstance(v, str)
            }
    config = study.evil({k: v for k, v in given["config"].items() if k != "policies"}, EVIL) | {"policies": policies}
    config["report"]["reference_policy"] = names["sft"]
    for reward, usual in zip(config["reward_models"].values(), given["config"]["reward_models"].values(), strict=True):
        reward["type"] = usual["type"]
    config["examples"]["task"] = given["config"]["examples"]["task"]
    planted = [
        {**c, "prefix": EVIL, "suffix": EVIL, "target": EVIL, "canary_id": c["canary_id"] + EVIL, "secret_type": EVIL}
        for c in study.canaries()
    ]
    extraction = study.extraction().assign(target=EVIL, completion=EVIL + "x", secret_type=EVIL)
    extraction["canary_id"] += EVIL
    extraction["policy"] = extraction["policy"].map(names)
    hostile = dict(
        config=config,
        tables=tables,
        figures=given["figures"],
        manifest={"licence": EVIL, "counts": {EVIL: 1, "pools": {EVIL: 2}}},
        model={"style": "added", "base": EVIL, "origin": {"package": dict(file=EVIL, wheel=EVIL, sha256=EVIL)}},
        versions={EVIL: [EVIL]},
        explorer=study.explorer(extraction=extraction, canaries=planted, policies=list(policies)),
        receipts=[{"rule": EVIL, "outputs": {"model": {EVIL: EVIL}}}],
        commit={"id": EVIL, "changed": True},
    )
    page, usual = Page(report.render(**hostile)), Page(report.render(**given))
    assert page.open == [] and page.scripts[2] == SCRIPT
    assert page.tags.count("script") == 3 and page.tags.count("img") == len(FIGURES) - len(OF_SWEEPS)
    assert set(page.tags) == set(usual.tags) and page.addresses == usual.addresses
    assert page.text.count("<script>alert('x')</script>") > 100 and "49" not in page.text.split("Provenance")[1].split("MD5")[0]
    assert not re.search("[<>&\u2028]", page.scripts[1])
    assert json.loads(page.scripts[1])["canaries"][0][5] == EVIL


def test_the_same_rows_give_the_same_page_without_a_date(given):
    text = report.render(**given)
    assert text == report.render(**copy.deepcopy(given))
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", Page(text).text)


def test_a_run_without_later_policies_or_collapse_has_a_report(given):
    policies = {name: given["config"]["policies"][name] for name in ("base", "sft")}
    text = report.render(**{**given, "config": {**given["config"], "policies": policies}, "tables": study.tables(policies)})
    assert "no policy descends from an SFT policy" in text and 'class="collapsed"' not in text and "Hatched" not in text


def test_the_confidence_that_was_computed_is_the_one_that_is_named(given):
    given["config"] = {**given["config"], "report": {**given["config"]["report"], "confidence": 0.9}}
    text = report.render(**given).replace("\u00a0", " ")
    assert "90 % interval" in text and "95 % interval" not in text


def test_the_page_says_what_was_added_to_the_model_and_where_it_comes_from(given):
    gguf = dict(file="own.gguf", says=dict(name=EVIL), quantisation="Q4_1", tensors={"Q4_1": 9}, assumed="words are cut as GPT-2 does")
    text = report.render(**given | dict(model={"style": "added", "base": EVIL, "origin": {"gguf": gguf}}))
    assert EVIL not in text and "so new ones were added; base training on FIM blocks taught them." in escaping.unescape(text)
    assert "quantised as Q4_1 (tensors: 9 Q4_1) and de-quantised to fp32; assumed: words are cut as GPT-2 does" in text
