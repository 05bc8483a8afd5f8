"""The page: nothing foreign acts, nothing is loaded, everything is there."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from audit.reports.html import render_html
from audit.result.document import load_result, render_json
from audit.result.schema import Result
from audit.result.shown_pairs import figures_of_pairs, with_pictures

VOID = {"meta", "link", "img", "br", "input", "path", "rect", "circle", "use"}
ATTRIBUTES = {
    *(
        "aria-hidden",
        "aria-label",
        "aria-labelledby",
        "aria-live",
        "alt",
        "autocomplete",
        "charset",
    ),
    *("class", "content", "cx", "cy", "d", "data-label", "data-size", "data-tags", "decoding"),
    *(
        "fill",
        "focusable",
        "for",
        "height",
        "hidden",
        "href",
        "http-equiv",
        "id",
        "lang",
        "loading",
    ),
    *("name", "open", "placeholder", "points", "preserveaspectratio", "r", "rel", "role", "scope"),
    *("selected", "src", "tabindex", "text-anchor", "transform", "type", "value", "viewbox"),
    *("width", "x", "y"),
}


class Page(HTMLParser):
    """Elements, their attributes and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, str] = {}
        self.words: list[str] = []
        self.unbalanced: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"style", "script"}:
            self.raw[self._open[-1]] = data
        else:
            self.words.append(data)

    def every(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page(result: Result) -> Page:
    return Page(render_html(result))


@pytest.fixture(scope="module")
def hostile_source(hostile: Result) -> str:
    return render_html(hostile)


@pytest.fixture(scope="module")
def hostile_page(hostile_source: str) -> Page:
    return Page(hostile_source)


def test_foreign_text_adds_no_element_and_no_attribute(hostile_page: Page) -> None:
    assert len(hostile_page.every("script")) == 1
    assert len(hostile_page.every("style")) == 1
    assert len(hostile_page.every("title")) > 1  # the document's and those of the plot's points
    assert {name for _, one in hostile_page.elements for name in one} <= ATTRIBUTES
    assert all(one["src"].startswith("data:image/") for one in hostile_page.every("img"))
    assert not hostile_page.unbalanced


def test_foreign_text_has_the_structure_of_plain_text(
    hostile_page: Page, make_result: object
) -> None:
    tags = {tag for tag, _ in hostile_page.elements}
    assert tags <= {tag for tag, _ in Page(render_html(make_result())).elements}


def test_foreign_text_is_shown_as_it_is(hostile_page: Page) -> None:
    assert "<img src=x onerror=alert(1)>" in hostile_page.text
    assert "{{ 7*7 }}" in hostile_page.text
    assert "⟨U+202E⟩txt.exe" in hostile_page.text
    assert "more characters)" in hostile_page.text


def test_no_character_acts_on_the_display(hostile_source: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e]", hostile_source)
    assert not re.search("[\u2066-\u2069\ud800-\udfff]", hostile_source)
    hostile_source.encode("utf-8")


def test_nothing_remote_is_referred_to(hostile_page: Page) -> None:
    for _, attributes in hostile_page.elements:
        for name in ("src", "href", "action", "srcset", "poster", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), value
    assert "url(" not in hostile_page.raw["style"]
    assert "@import" not in hostile_page.raw["style"]
    assert "http" not in hostile_page.raw["style"] + hostile_page.raw["script"]


def test_policy_allows_exactly_the_page_own_style_and_script(page: Page) -> None:
    policy = next(one["content"] for one in page.every("meta") if "http-equiv" in one)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        digest = hashlib.sha256(page.raw[tag].encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert not [one for _, one in page.elements if "style" in one or "onclick" in one]


def test_headings_descend_one_level_at_a_time(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_names_are_unique_and_links_arrive(hostile_page: Page) -> None:
    names = [one["id"] for _, one in hostile_page.elements if "id" in one]
    assert len(names) == len(set(names))
    targets = {one["href"][1:] for one in hostile_page.every("a") + hostile_page.every("use")}
    assert targets <= set(names)


def test_failures_come_first_and_are_open(page: Page) -> None:
    details = [one for one in page.every("details") if "check" in (one["class"] or "").split()]
    first, second = details[:6], details[6:]
    assert [one["id"] for one in first] == ["P104", "P105", "P106", "P102", "P101", "P103"]
    assert [one["id"] for one in second] == ["P204", "P202", "P201"]
    assert {one["id"] for one in details if "open" in one} == {"P104", "P105", "P204"}


def test_evidence_stands_before_the_method(page: Page) -> None:
    start = page.text.index("Block 4 runs with 1 head", page.text.index("Violations"))
    order = [
        *("What to do", "Why it matters", "What was found", "What was measured", "Evidence"),
        *("Where in the source", "See it again", "How it is judged"),
    ]
    places = [page.text.index(word, start) for word in order]
    assert places == sorted(places)


def test_the_top_shows_the_pair_of_the_first_violation(result: Result) -> None:
    source = render_html(result)
    top = source[: source.index('id="principle-1"')]
    assert top.count('class="key-evidence found"') == 1
    assert '<a href="#P104">P104</a> on one pair' in top
    assert top.count("Map: as executed") == 1
    clean = result.model_copy(update={"checks": result.checks[:1]})
    page = render_html(clean)
    top = page[: page.index('id="principle-1"')]
    assert f'One of <a href="#gallery">{len(result.gallery)} pairs</a>' in top
    assert top.count('<div class="key-evidence"') == 1  # not in the color of a violation
    bare = clean.model_copy(update={"gallery": []})
    assert "key-evidence" not in render_html(bare).split("</style>")[1]


def test_what_was_said_is_not_said_again(make_result: object) -> None:
    one = make_result()
    check = next(check for check in one.checks if check.id == "P202")
    lines = [check.finding.summary, *(f"Line {number}." for number in range(7))]
    finding = check.finding.model_copy(update={"detail": lines})
    repeated = one.model_copy(update={"checks": [check.model_copy(update={"finding": finding})]})
    text = Page(render_html(repeated)).text
    assert text.count(check.finding.summary) == 1
    assert "3 more" in text
    assert "Line 6." in text


def test_every_verdict_has_its_word(page: Page) -> None:
    words = "Violation Error Warning Waived Inconclusive Pass"
    for word in [*words.split(), "Not applicable"]:
        assert word in page.text


def test_pictures_say_what_they_are(page: Page) -> None:
    assert all(one.get("alt") for one in page.every("img"))
    drawings = [one for one in page.every("svg") if one.get("aria-hidden") != "true"]
    assert drawings
    assert all(one.get("role") == "img" and one.get("aria-label") for one in drawings)


def test_each_picture_stands_on_the_page_once(page: Page, result: Result) -> None:
    alone = [one for one in page.every("img") if one.get("class") == "photo"]
    drawn = [one for one in page.every("svg") if one.get("class") == "photo"]
    held = [one["src"] for one in alone] + [one["href"] for one in page.every("image")]
    pictures = [png for png in result.pictures.values() if " " not in png]  # one is none
    assert len(held) == len(set(held)) == len(pictures)
    figures = [*figures_of_pairs(result.checks), *result.gallery]
    seen = [one for one in figures if one.pair.startswith("scene-")]
    assert len(alone) + len(drawn) == len(seen) + 1  # the one at the top
    symbols = {one["id"] for one in page.every("symbol") if one["id"].startswith("photo-")}
    assert symbols == {
        one["href"][1:] for one in page.every("use") if one["href"].startswith("#photo-")
    }


def test_a_pair_of_which_nothing_is_known_is_shown_all_the_same(result: Result) -> None:
    bare = Page(render_html(result.model_copy(update={"pictures": {}, "shown_pairs": {}})))
    strips = [one for one in bare.every("div") if one.get("class") == "strip"]
    assert bare.text.count("no picture") == len(strips) >= len(result.gallery)


def test_page_from_saved_result_is_the_same(result: Result) -> None:
    assert render_html(load_result(render_json(result))) == render_html(result)


def test_an_audit_that_judged_nothing_still_has_a_page(result: Result) -> None:
    empty = result.model_copy(
        update={
            **dict.fromkeys(("checks", "gallery", "controls", "equivalences", "failures"), ()),
            "verdict": "incomplete",
            "exit_code": 3,
        }
    )
    text = Page(render_html(empty)).text
    assert "Incomplete" in text
    assert "nothing was judged" in text


def test_measures_of_map_quality_stand_in_a_table(result: Result) -> None:
    page = Page(render_html(result))
    rows = [row for row in re.findall(r"<tr>.*?</tr>", render_html(result)) if "explainer 1" in row]
    assert len(rows) == 1
    text = " ".join(page.text.split())
    assert "energy gain (decides) higher 0.410 0.310 to 0.510 0.380 0.280 to 0.480 – 192" in text
    assert "max-sensitivity lower 0.0200 −0.0800 to 0.120" in text
    assert "Principle 2 goes by energy gain; the others stand beside it" in text
    assert "1,120" in text
    assert 'id="quality"' not in render_html(result.model_copy(update={"quality": []}))


def test_a_thousand_pairs_stay_small(make_result: object) -> None:
    one, many = (len(render_html(make_result(pairs=n)).encode()) for n in (50, 150))
    assert one + (many - one) / 100 * 150 < 5_000_000  # 200 pairs
    assert one + (many - one) / 100 * 950 < 20_000_000  # 1,000 pairs


def test_p_values_stand_beside_intervals_with_their_test(result: Result) -> None:
    page = render_html(result)
    assert '<td data-label="p">0.64 <small>Holm 0.81</small></td>' in page
    assert "p: permutations of correctness" in page
    assert page.count('<td data-label="p"') == 1  # only in the table that has one


def test_the_worst_pairs_come_first_and_the_rest_waits(result: Result) -> None:
    form = r'<li class="card([^"]*)" id="(pair-\d+)".*?<bdi>(.*?)</bdi>'
    cards = re.findall(form, render_html(result), re.DOTALL)
    assert len(cards) == len(result.gallery)
    assert [anchor for _, anchor, _ in cards] == [f"pair-{i}" for i in range(1, len(cards) + 1)]
    assert ["later" in classes for classes, *_ in cards] == [i >= 8 for i in range(len(cards))]
    violated = [c.finding for c in result.checks if c.finding.verdict.value == "violation"]
    named = {
        pair
        for one in violated
        for pair in (
            *one.samples,
            *(figure.pair for figure in one.figures if figure.kind == "pair"),
        )
    } | {one.witness.pair for one in violated if one.witness}
    first = [pair in named for *_, pair in cards]
    assert first == sorted(first, reverse=True)
    values = {p.pair: next(iter(p.values.values()), None) for p in result.pair_quality}
    rest = [
        values[pair] for *_, pair in cards if pair not in named and values.get(pair) is not None
    ]
    assert rest == sorted(rest)


@pytest.mark.parametrize("most", [0, 2])
def test_pictures_are_left_out_where_they_are_private(result: Result, most: int) -> None:
    few = with_pictures(result, most)
    assert len(few.pictures) == most < len(result.pictures)
    assert set(few.pictures) <= set(result.pictures)
    page = render_html(few)
    left = [
        png for key, png in result.pictures.items() if key not in few.pictures and len(png) > 100
    ]
    assert left
    assert not any(png in page or png in few.model_dump_json() for png in left)
    assert page.count("no picture") > 0
    assert with_pictures(result, None) is result
