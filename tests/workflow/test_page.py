"""The report in a real browser: it loads by itself, its filters filter, hostile text does nothing, and it fits a desk and a phone."""

import asyncio
import copy
from urllib.parse import quote

import pytest
from PIL import Image, ImageStat

from tests.unit.results import study
from tests.unit.results.figures.drawing import FIGURES, draw
from tests.workflow.browser import Page, chromium, tab
from workflow_scripts.core.results.figures import style
from workflow_scripts.core.results.pages import report

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium, chromium-browser or google-chrome on PATH")
EVIL = "</td></pre></script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>\"'&"
COUNT = "document.getElementById('matches').textContent"
CARDS = "[...document.querySelectorAll('#cards article')].map((a) => a.querySelector('h3').textContent)"
ROWS = "[...document.querySelectorAll('#cards tbody tr')].map((r) => [...r.children].map((c) => c.textContent))"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> dict[str, bytes]:
    """The figures, drawn once, as SVG."""
    folder = tmp_path_factory.mktemp("figures")
    for name in FIGURES:
        style.save(draw(name), folder / f"{name}.svg")
    return {name: (folder / f"{name}.svg").read_bytes() for name in FIGURES}


@pytest.fixture
def given(config, pictures) -> dict:
    """What the page is made of."""
    tables = study.tables(collapsed=("ipo",))
    about = dict(manifest=study.MANIFEST, versions=study.VERSIONS, receipts=study.RECEIPTS, commit=study.COMMIT, model=study.MODEL)
    return dict(config=config, tables=tables, figures=pictures, explorer=study.explorer(), **about)


def visit(tmp_path, text: str, *steps, width: int = 1280, fragment: str = "") -> Page:
    """Load the page, do the steps (coroutine functions of the tab) one after the other, and return the tab for what it noted."""
    path = tmp_path / "report.html"
    path.write_text(text, encoding="utf-8")

    async def go() -> Page:
        async with tab(tmp_path) as page:
            await page.open(path.as_uri() + fragment, width=width)
            for step in steps:
                await step(page)
            return page

    return asyncio.run(go())


def test_it_loads_without_errors_and_asks_for_nothing_else(given, tmp_path):
    async def whole(page):
        broken = "[...document.images].filter((i) => !i.complete || !i.naturalWidth).length"
        assert await page.run("document.images.length") == 8 and await page.run(broken) == 0
        assert (await page.run(COUNT)) == "256 canaries, 2,560 completions; page 1 of 52"
        labelled = "[...document.querySelectorAll('select, input')].every((c) => c.labels.length === 1 && c.labels[0].textContent.trim())"
        assert await page.run(labelled)

    page = visit(tmp_path, report.render(**given), whole)
    assert page.problems == []
    assert [r for r in page.requests if not r.startswith("data:image/svg+xml")] == [(tmp_path / "report.html").as_uri()]


def test_the_filters_change_what_is_shown_and_the_address_keeps_them(given, tmp_path):
    frame = study.extraction()
    native = frame[frame["probe"] == "fim"]

    async def one_after_the_other(page):
        first = await page.run(CARDS)
        assert len(first) == 5 and all(", planted 64 times in sft" in head for head in first)
        await page.choose("cohort", "1")
        assert all("in preference" in head for head in await page.run(CARDS)) and await page.run(COUNT) != ""
        await page.choose("dose", "16")
        await page.choose("secret_type", "2")
        heads = await page.run(CARDS)
        assert heads and all("key, planted 16 times in preference" in head for head in heads)
        await page.choose("policy", "2")
        assert {row[0] for row in await page.run(ROWS)} == {"sft_chosen"}
        await page.choose("arm", "1")
        assert {row[1].split(", ")[1] for row in await page.run(ROWS)} == {"with it"}
        await page.choose("memorized", "1")
        rows = await page.run(ROWS)
        fits = native.query("memorized and policy == 'sft_chosen' and cohort == 'preference' and secret_type == 'key' and dose == 16")
        assert len(rows) == len(fits) > 0 and all(row[2] == "● yes" for row in rows)
        where = await page.run("location.hash")
        assert where == "#explorer?probe=0&cohort=1&secret_type=2&dose=16&policy=2&arm=1&memorized=1"
        await page.choose("probe", "4")
        assert await page.run(COUNT) == "0 canaries, 0 completions; page 1 of 1"
        assert await page.run("document.getElementById('cards').textContent") == "No canary fits these filters."
        await page.run("document.querySelector('button[type=reset]').click()")
        await page.run("new Promise((done) => setTimeout(done, 50))")
        assert await page.run(COUNT) == "256 canaries, 2,560 completions; page 1 of 52" and await page.run(CARDS) == first
        await page.choose("text", study.canaries()[64 + 16]["target"][3:12].upper())
        assert len(await page.run(CARDS)) == 1

    assert visit(tmp_path, report.render(**given), one_after_the_other).problems == []

    async def again(page):
        assert {row[0] for row in await page.run(ROWS)} == {"sft_chosen"} and await page.run("scrollY") > 1000
        assert await page.run("document.getElementById('filters').elements.dose.value") == "16"

    visit(tmp_path, report.render(**given), again, fragment="#explorer?cohort=1&dose=16&policy=2&page=2&nothing=1&secret_type=99")


def test_pages_turn_from_the_keyboard_and_end(given, tmp_path):
    async def turn(page):
        first = await page.run(CARDS)
        await page.run("document.getElementById('next').focus()")
        for kind in ("rawKeyDown", "char", "keyUp"):
            await page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)
        assert "page 2 of 52" in await page.run(COUNT) and not set(first) & set(await page.run(CARDS))
        assert not await page.run("document.getElementById('previous').disabled")
        await page.run("for (let i = 0; i < 60; i++) document.getElementById('next').click()")
        assert "page 52 of 52" in await page.run(COUNT) and await page.run("document.getElementById('next').disabled")

    assert visit(tmp_path, report.render(**given), turn).problems == []


def test_the_difference_marks_what_is_the_same_what_is_new_and_what_is_missing(given, tmp_path):
    planted = [{**c, "target": "alpha beta gamma delta"} for c in study.canaries()[:1]]
    rows = study.extraction({"sft": study.POLICIES["sft"]}, probes=("fim",))
    rows = rows[rows["canary_id"] == planted[0]["canary_id"]].assign(target="alpha beta gamma delta")
    rows["completion"] = ["alpha NEW gamma delta", "nothing else"]
    data = study.explorer(extraction=rows, canaries=planted, policies=["sft"])

    async def read(page):
        parts = "[...document.querySelectorAll('#cards td.code')].map((c) => [...c.children].map((x) => [x.localName, x.textContent]))"
        first, second = await page.run(parts)
        assert first == [["span", "alpha "], ["del", "beta"], ["ins", "NEW"], ["span", " gamma delta"]]
        assert [part for part in second if part[0] == "del"] == []  # of four words none came back: the completion alone

    visit(tmp_path, report.render(**{**given, "explorer": data}), read)


def test_hostile_text_does_nothing(given, tmp_path):
    planted = [{**c, "prefix": EVIL, "suffix": EVIL, "target": EVIL, "canary_id": c["canary_id"] + EVIL} for c in study.canaries()]
    rows = study.extraction().assign(target=EVIL, completion=EVIL)
    rows["canary_id"] += EVIL
    rows["policy"] += EVIL
    hostile = copy.deepcopy(given)
    for row in hostile["tables"]["cost"]:
        row["rule"] = EVIL
    hostile["manifest"]["licence"] = EVIL
    names = [name + EVIL for name in study.POLICIES]
    hostile["explorer"] = study.explorer(extraction=rows, canaries=planted, policies=names)

    images = report.render(**given).count("<img ")  # the usual page's

    async def look(page):
        await page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert await page.run("window.hurt") is None
        assert await page.run("document.scripts.length") == 3 and await page.run("document.images.length") == images
        assert EVIL in (await page.run(CARDS))[0] and EVIL in (await page.run(ROWS))[0][-1]
        assert EVIL in await page.run("document.body.textContent")

    page = visit(tmp_path, report.render(**hostile), look, fragment="#explorer?text=" + quote("<script>window.hurt = 1</script>"))
    assert page.problems == [] and not [r for r in page.requests if not r.startswith(("data:image/svg", "file:"))]


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_a_desk_and_a_phone(given, tmp_path, width):
    async def shoot(page):
        assert await page.run("document.documentElement.scrollWidth <= innerWidth")
        await page.picture(tmp_path / "page.png")
        await page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert await page.run("document.documentElement.scrollWidth <= innerWidth")

    visit(tmp_path, report.render(**given), shoot, width=width)
    picture = Image.open(tmp_path / "page.png").convert("L")
    assert picture.width == width and picture.height > 5000
    for top in range(0, picture.height - 1500, 1500):  # no screenful of it is blank
        assert ImageStat.Stat(picture.crop((0, top, picture.width, top + 1500))).stddev[0] > 8, top


def test_on_paper_the_main_tables_are_open_and_the_explorer_is_not_there(given, tmp_path):
    async def print_it(page):
        await page.paper(tmp_path / "report.pdf")
        await page.call("Emulation.setEmulatedMedia", media="print")
        await page.run("dispatchEvent(new Event('beforeprint'))")
        seen = "(selector) => [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility()).length"
        assert await page.run(f"({seen})('details.print table')") == 2 and await page.run(f"({seen})('#cards, #filters, nav')") == 0
        await page.run("dispatchEvent(new Event('afterprint'))")
        assert await page.run("document.querySelectorAll('details[open]').length") == 0

    visit(tmp_path, report.render(**given), print_it)
    assert (tmp_path / "report.pdf").read_bytes()[:5] == b"%PDF-" and (tmp_path / "report.pdf").stat().st_size > 50_000


def test_base_is_shared_by_both_arms_and_saw_no_canary(given, tmp_path):
    async def look(page):
        await page.choose("dose", "16")
        await page.choose("policy", "0")
        assert {row[1] for row in await page.run(ROWS)} == {"A, without any canary", "B, without any canary"}
        await page.choose("policy", "1")
        assert {row[1].split(", ")[1] for row in await page.run(ROWS)} == {"with it", "without it"}
        await page.choose("arm", "1")
        await page.choose("policy", "0")
        assert await page.run(ROWS) == []

    assert visit(tmp_path, report.render(**given), look).problems == []
