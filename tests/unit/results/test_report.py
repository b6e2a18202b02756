"""The report is whole on its own, shows every table, and treats all text that it is given as text."""

import copy
import html
import re
from html.parser import HTMLParser

import pytest

from tests.unit.results import synthetic
from tests.unit.results.test_tables import kept, memorized, useful
from workflow_scripts.core.results import cost, report

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="2" height="1"><text>picture</text></svg>'
MANIFEST = {"licence": "PSF", "counts": {"documents": 1300, "distinct": 9100, "pools": {"base": 9000}}}


@pytest.fixture
def given(config) -> dict:
    """What render is given for the synthetic study."""
    costs = cost.cost(synthetic.receipts())
    found = dict(memorization=list(memorized().values()), persistence=list(kept().values()), utility=useful(), cost=costs)
    pictures = dict.fromkeys(("workflow", "memorization", "dose_response", "shift"), SVG)
    return dict(config=config, tables=found, figures=pictures, manifest=MANIFEST, versions=cost.versions(synthetic.receipts()))


class Page(HTMLParser):
    """Tags, addresses, rows of cells and open tags of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.addresses, self.rows, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href", "action", "data")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_the_page_needs_nothing_but_itself(given):
    text = report.render(**given)
    page = Page(text)
    assert page.open == [] and "script" not in page.tags and "link" not in page.tags
    assert len(page.addresses) == 4 and all(a.startswith("data:image/svg+xml;base64,") for a in page.addresses)
    assert not re.search(r"url\(|@import|https?://", text.split("<details>")[0])


def test_the_headline_stands_at_the_top_with_the_tables_numbers(given):
    text = report.render(**given)
    rows = Page(text).rows
    assert [r[0].split()[0] for r in rows[1:6]] == ["base", "sft", "direct", "ppo", "ipo"]
    assert rows[2][1:] == ["59 %19/32, 41–76 %", "0 %0/32, 0–11 %", "0 %0/32, 0–11 %", "0 %0/32, 0–11 %", "1.0050.0, 50.0–50.0"]
    assert rows[5][0] == "ipo collapsed" and text.count('<tr class="collapsed">') == 1 + 4 + 1  # headline, persistence x cohorts, utility
    assert text.index("workflow") < text.index("How much came back") < text.index("By dose") < text.index("Provenance")


def test_persistence_utility_and_cost_are_there_and_missing_is_a_dash(given):
    rows = Page(report.render(**given)).rows
    assert ["ppo", "sft", "20", "17", "85 %62–97 %", "3", "0", "0.250"] in rows
    assert ["ppo", "preference", "0", "–", "–", "0", "0", "1.000"] in rows
    assert ["ppo", "55.055.0–55.0", "25 %9–49 %", "75 %43–95 %, n = 12", "0.500.25 to 0.75", "0.2000.200–0.200"] in rows
    assert ["train_base", "1", "7 min", "13 min", "1,500", "–", "3.7 M", "cpu"] in rows
    assert ["collect_corpus", "1", "2 s", "–", "–", "–", "–", "–"] in rows


def test_provenance_names_corpus_versions_seeds_and_the_whole_config(given):
    text = html.unescape(report.render(**given))
    assert "licence: PSF" in text and "documents: 1300" in text and "trl 1.12.0" in text and "Seeds: 0;" in text
    assert "policies:\n  base:\n    epochs: " in text and "collapse_ratio: 1.5" in text


def test_text_from_outside_is_escaped_wherever_it_is_shown(given):
    evil = "<script>alert('x')</script>"
    renamed = copy.deepcopy(given)
    for table in ("memorization", "persistence", "utility"):
        for row in renamed["tables"][table]:
            row["policy"] = row["policy"].replace("ppo", evil)
    for row in renamed["tables"]["cost"]:
        row |= {"rule": evil, "device": evil}
    renamed["config"] = {
        **given["config"],
        "run": evil,
        "corpus": {**given["config"]["corpus"], "path": evil},
        "report": {**given["config"]["report"]},
    }
    renamed["config"]["report"]["reference"] = evil
    renamed["manifest"] = {"licence": evil, "counts": {evil: 1}}
    renamed["versions"] = {evil: [evil]}
    text = report.render(**renamed)
    assert "<script" not in text and "script" not in Page(text).tags
    assert html.escape(evil, quote=False)[:14] in text and text.count("&lt;script&gt;") > 20


def test_the_same_rows_give_the_same_page_without_a_date(given):
    text = report.render(**given)
    assert text == report.render(**copy.deepcopy(given))
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", text)


def test_a_run_without_later_policies_or_collapse_has_a_report(given):
    given["tables"]["persistence"] = []
    for table in ("memorization", "utility"):
        given["tables"][table] = [{**r, "collapsed": False} for r in given["tables"][table]]
    text = report.render(**given)
    assert "No policy descends from sft." in text and 'class="collapsed"' not in text and "Collapsed, with" not in text


def test_the_confidence_that_was_computed_is_the_one_that_is_named(given):
    given["config"] = {**given["config"], "report": {**given["config"]["report"], "confidence": 0.9}}
    text = report.render(**given)
    assert "90 % interval" in text and "95 % interval" not in text
