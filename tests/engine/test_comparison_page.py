"""Two releases as a page: what got worse comes first, beside the maps that changed."""

import re

import pytest

from audit.engine.comparison import compare_results
from audit.engine.comparison_page import Release, render_comparison
from audit.result.document import render_json
from tests.reports.browser import CHROMIUM
from tests.reports.pages import expect_a_sound_page


def page(old, new):
    return render_comparison(Release(old), Release(new), compare_results(old, new))


def test_what_got_worse_comes_first_with_its_remedy(red, green):
    rows = re.findall(r"<tr.*?</tr>", page(green, red).split("<tbody>")[1], flags=re.DOTALL)
    assert [re.search(r'class="id">(P\d+)', row)[1] for row in rows[:2]] == ["P104", "P105"]
    assert "got worse" in rows[0]
    assert "What to do:" in rows[0]
    assert "Worse" in page(green, red)
    assert "Not worse" in page(red, green)
    assert "got better" in page(red, green)


def test_pairs_whose_maps_changed_most_stand_side_by_side(red, green):
    shown = page(green, red)
    assert "Maps that changed most" in shown
    assert [shown.count(f">{title}<") for title in ("before", "now")] == [6, 6]
    same = compare_results(red, red)
    assert same.lines[-1] == "nothing got worse or better; exit code 0"
    other = red.model_copy(update={"data": red.data.model_copy(update={"sha256": "other"})})
    assert "Maps that changed most" not in page(other, red)


def test_a_release_whose_maps_have_another_unit_is_seen_all_the_same(green):
    def scaled(factor):
        cards = [
            card.model_copy(update={"maps": [times(one, factor) for one in card.maps]})
            for card in green.gallery
        ]
        return page(green, green.model_copy(update={"gallery": cards}))

    def times(one, factor):
        values = [[None if v is None else factor * v for v in row] for row in one.values]
        return one.model_copy(update={"values": values})

    together = "one scale for the maps"
    assert scaled(2.0).count(together) == scaled(0.5).count(together) == 6
    assert together not in scaled(100.0)
    assert together not in scaled(0.01)


def test_hostile_names_stay_text(hostile):
    shown = page(hostile, hostile)
    assert "<img src=x" not in shown
    assert "<script>alert" not in shown


def test_the_command_writes_it_and_ends_with_a_summary(command, red, green, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "result.json").write_text(render_json(green), encoding="utf-8")
    (tmp_path / "old" / "report.html").write_text("")
    (tmp_path / "new.json").write_text(render_json(red), encoding="utf-8")
    done = command("compare", "old/result.json", "new.json", "--html", "c.html")
    assert done.exit_code == 1, done.output
    *_, last, where = done.output.splitlines()
    assert re.fullmatch(r"2 worse.*; exit code 1", last)
    assert where == "page: c.html"
    written = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert 'href="old/report.html"' in written
    assert written.count("report.html") == 1  # beside the other result there is no report


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_in_a_browser(tmp_path, red, green):
    path = tmp_path / "page.html"
    path.write_text(page(green, red), encoding="utf-8")
    expect_a_sound_page(path, tmp_path / "profile")
