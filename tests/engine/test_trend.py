"""The trend page: every audit with its verdicts, what changed, and numbers that were measured."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit.engine.trend import EXECUTED, Past, executed_difference, mean_quality, render_trend
from audit.evidence.kinds import Executed
from audit.gate import history
from audit.reports.html import render_html
from audit.result.document import render_json
from audit.result.numbers import Interval, Statistic
from principles.catalogue import all_checks
from tests.principles.alignment import made
from tests.reports.browser import CHROMIUM
from tests.reports.pages import expect_a_sound_page

URL = "https://example.org/team/project/commit/{}"
COMMITS = ("1111111aaaa", "2222222bbbb", "3333333cccc")


def on(result, day, commit=None, **changes):
    timing = result.timing.model_copy(update={"started": f"2026-01-0{day}T03:04:05+00:00"})
    conditions = result.conditions.model_copy(update={"git_commit": commit})
    return result.model_copy(update={**changes, "conditions": conditions, "timing": timing})


@pytest.fixture
def releases(red, green):
    """The same explainer green, red and green again."""
    name = {"explainer": red.explainer}
    results = (on(green, 1, COMMITS[0], **name), on(red, 2, COMMITS[1]))
    return (*results, on(green, 3, COMMITS[2], **name))


def page(results, url=""):
    return render_trend([Past(result, f"{n}.json") for n, result in enumerate(results, 1)], url)


def rows(text):
    return re.findall(r'<tr id="audit-\d+">.*?</tr>', text, flags=re.DOTALL)


def test_each_audit_is_a_row_with_what_every_check_said(releases):
    found = rows(page(releases))
    assert [re.search(r"(\d+)\.json", row)[1] for row in found] == ["3", "2", "1"]
    words = [re.findall(r'<td class="cell.*?unseen">([^<]*)<', row) for row in found]
    assert words[0] == words[2]
    assert words[0][:3] == ["Pass", "Pass", "Pass"]
    assert words[1][:3] == ["Pass", "Violation", "Violation"]


def test_changes_are_told_against_the_audit_before(releases):
    newest, middle, oldest = (
        re.findall(r"Changes:</b> ([^<]*)<", row) for row in rows(page(releases))
    )
    assert middle == ["P104 pass → violation; P105 pass → violation"]
    assert newest == ["P104 violation → pass; P105 violation → pass"]
    assert oldest == []


def test_no_interval_leaves_the_range_of_its_measure(red):
    """Of a mean near the bound, t's interval from few pictures would."""
    shares = [1.0] * 5 + [0.6]
    pairs = [
        red.pair_quality[0].model_copy(
            update={"picture": i, "values": {"pointing game": v, "drop": v}}
        )
        for i, v in enumerate(shares)
    ]
    result = red.model_copy(update={"pair_quality": pairs})
    mean, bounded = mean_quality(result, "pointing game")
    _, free = mean_quality(result, "drop")
    assert mean == pytest.approx(np.mean(shares))
    assert free.high > 1
    assert (bounded.low, bounded.high) == (free.low, 1.0)


def test_another_model_another_data_and_another_source_are_told(red):
    model = red.model.model_copy(update={"state_sha256": "m"})
    data = red.data.model_copy(update={"sha256": "d"})
    source = red.explainer.model_copy(update={"source_sha256": "s"})
    text = page([red, red.model_copy(update={"model": model, "data": data, "explainer": source})])
    assert "other model; other data; other source" in rows(text)[0]

    assert not re.search(r'<polyline points="[^"]* [^"]*"', text)  # no line joins the two


def test_commits_are_links_where_an_address_is_given(releases):
    assert "https://" not in page(releases)
    linked = page(releases, URL)
    for commit in COMMITS:
        assert f'href="{URL.replace("{}", commit)}"><code>{commit[:7]}</code>' in linked


def test_the_plotted_quality_is_the_mean_of_the_pairs(releases, red):
    values = [p.values["average precision"] for p in red.pair_quality]
    mean = np.mean([v for v in values if v is not None])
    text = page(releases)
    assert "Quality: average precision" in text
    value, interval = mean_quality(red, "average precision")
    assert value == pytest.approx(mean)
    assert interval.low < mean < interval.high
    assert mean_quality(red, "no such measure") is None


def test_executed_accuracy_is_the_statistic_of_its_check(check_of, red):
    gap = Statistic(name=EXECUTED[1], value=-0.05, interval=Interval(low=-0.1, high=-0.01))
    check = check_of("P201", statistics=[gap]).model_copy(update={"id": EXECUTED[0]})
    result = red.model_copy(update={"checks": [check]})
    assert executed_difference(result) == (-0.05, gap.interval)
    assert executed_difference(red) is None
    assert "Executed accuracy minus the model&#39;s" in page([result])


def test_that_statistic_is_one_that_its_check_gives():
    rng = np.random.default_rng(0)
    correct = rng.random(40) < 0.9
    evidence = made({"audited": rng.random(40)}, correct, per_picture=1)
    executed = Executed("gradient", correct, correct, 0.0)
    check = next(check for check in all_checks() if check.id == EXECUTED[0])
    finding = check.finding(replace(evidence, executed=executed))
    assert EXECUTED[1] in {statistic.name for statistic in finding.statistics}


def test_policy_and_hostile_strings(red):
    text = '<script>alert(1)</script>" \u202egnp'
    hostile = red.model_copy(
        update={
            "explainer": red.explainer.model_copy(update={"name": text}),
            "data": red.data.model_copy(update={"name": text}),
            "headline": text,
            "conditions": red.conditions.model_copy(update={"git_commit": text}),
            "timing": red.timing.model_copy(update={"started": text}),
        }
    )
    source = page([hostile, hostile], URL)
    assert "<script>alert" not in source
    assert "\u202e" not in source
    assert source.count("<script>") == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', source)[1]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    report = re.search(r'Content-Security-Policy" content="([^"]*)"', render_html(red))[1]
    assert policy.split(";")[3] == report.split(";")[3]  # the same script


def test_command(command, tmp_path, releases, red):
    for n, result in enumerate(releases):
        (tmp_path / f"{n}.json").write_text(render_json(result))
    adding = [word for n in range(3) for word in ("--add", f"{n}.json")]
    assert len(command("history", *adding).output.splitlines()) == 3
    done = command("history", "--add", "0.json", "--html", "pages/trend.html", "--commit-url", URL)
    assert done.exit_code == 0, done.output
    assert done.output == "pages/trend.html: the trend over 3 audits\n"
    text = Path("pages", "trend.html").read_text(encoding="utf-8")
    links = re.findall(r'<small><a href="(\.\./[^"]*)">', text)
    assert len(links) == 3
    assert all(Path("pages", link).is_file() for link in links)
    assert len(rows(text)) == 3
    command("history", "--html", "trend.html", "--last", "2")
    assert len(rows(Path("trend.html").read_text(encoding="utf-8"))) == 2


def test_a_trend_is_of_one_explainer(command, tmp_path, red, green):
    options = red.explainer.model_copy(update={"options": {"heads": "model"}})
    for result in (red, on(green, 1), red.model_copy(update={"explainer": options})):
        history.keep(result, tmp_path)
    refused = command("history", "--html", "trend.html")
    assert refused.exit_code == 2
    assert "'grad-attention', 'grad-eclip', 'grad-eclip (heads=model)'" in refused.output
    assert not Path("trend.html").exists()
    done = command("history", "--html", "trend.html", "-e", "grad-eclip")
    assert done.output.endswith("the trend over 1 audit\n")
    assert command("history", "--html", "t.html", "-e", "gradient").exit_code == 2
    wrong = command(
        "history", "--html", "t.html", "-e", "grad-eclip", "--commit-url", "javascript:{}"
    )
    assert wrong.exit_code == 2
    assert "--commit-url: expected an address such as https://" in wrong.output


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_in_a_browser(tmp_path, releases):
    path = tmp_path / "trend.html"
    path.write_text(page(releases, URL), encoding="utf-8")
    expect_a_sound_page(path, tmp_path / "profile")
