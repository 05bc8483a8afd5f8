"""A benchmark: its audits are those of check, what they share is measured once, and it resumes."""

import csv
import functools
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from audit.config.settings import Settings, SettingsError
from audit.engine.benchmark_cells import Benchmark, Cell, Outcome, cells
from audit.engine.benchmark_page import render_benchmark
from audit.engine.benchmark_scores import scores_by_measure
from audit.engine.benchmark_tables import latex, quality_csv, verdicts_csv
from audit.engine.benchmarking import STATE, run_benchmark, subjects_of
from audit.evidence.tasks import Shared, Tasks
from audit.result.document import load_result
from audit.result.schema import PairQuality
from tests.made_results import HOSTILE
from tests.reports.browser import CHROMIUM
from tests.reports.pages import expect_a_sound_page

SMALL = ("--profile", "quick", "--samples", "4")
CHECKS = ("--select", "P101,P104,P105,P206")


def of_quality(result, values, pictures=None):
    """The result with a quality a pair, each of a picture of its own unless told."""
    pictures = range(len(values)) if pictures is None else pictures
    quality = [
        PairQuality(pair=f"p{n}", picture=int(picture), values={"quality": float(value)})
        for n, (value, picture) in enumerate(zip(values, pictures, strict=True))
    ]
    return result.model_copy(update={"pair_quality": quality})


def outcomes(**results):
    made = [Outcome(Cell(Settings(explainer=n, out=f"out/{n}"), n), r) for n, r in results.items()]
    return Benchmark(tuple(made))


def test_ranks_are_those_that_paired_intervals_allow(result):
    rng = np.random.default_rng(0)
    hard = rng.normal(size=60)  # what all pairs share hides nothing in a paired comparison
    found = scores_by_measure(
        {
            "low": of_quality(result, hard - 1 + rng.normal(size=60) / 50),
            "best": of_quality(result, hard),
            "alike": of_quality(result, hard + rng.normal(size=60) / 50),
        }
    )["quality"]
    by_name = {score.name: score for score in found}
    assert {name: score.ranks for name, score in by_name.items()} == {
        "best": "1–2", "alike": "1–2", "low": "3",
    }  # fmt: skip
    behind = by_name["low"].behind
    assert 0.98 < behind.low < behind.value < behind.high < 1.02
    assert by_name["low"].interval.high - by_name["low"].interval.low > 0.3
    assert found[0].behind is None


def test_pairs_that_one_lacks_are_left_out_of_the_difference(result):
    more = of_quality(result, [0.0, 0.0, 0.0, 100.0])
    less = of_quality(result, [1.0, 1.0, 1.0])
    (first, second) = scores_by_measure({"more": more, "less": less})["quality"]
    assert first.name == "more"
    assert second.behind.value == -1  # on the three pairs that both have
    assert (first.ranks, second.ranks) == ("2", "1")


def test_one_explainer_alone_has_no_rank(result):
    assert scores_by_measure({"one": of_quality(result, [0.1, 0.2])}) == {}


def test_cells_have_folders_of_their_own():
    settings = Settings(out="b")
    made = cells(["a/x.py:f", "b/x.py:f", "grad-eclip", "grad-eclip"], [{}], settings)
    assert [cell.settings.out for cell in made] == ["b/x.py-f", "b/x.py-f-2", "b/grad-eclip"]
    subjects = subjects_of(["M", "N"], ["t", "u"], ["d", "e"], settings)
    outs = [cell.settings.out for cell in cells(["gradient"], subjects, settings)]
    assert outs == [f"b/{m}-{d}/gradient" for m in ("M-t", "N-u") for d in ("d", "e")]
    with pytest.raises(SettingsError, match="one for all models or one for each of 2, got 3"):
        subjects_of(["M", "N"], ["t", "u", "v"], [], settings)


def test_its_exit_code_is_the_gravest(result, green):
    assert outcomes(a=green).exit_code == 0
    assert outcomes(a=green, b=result).exit_code == 1
    broken = Outcome(Cell(Settings(), "c"), None, "it raises")
    assert Benchmark((*outcomes(a=result).outcomes, broken)).exit_code == 3
    left_out = Outcome(Cell(Settings(), "c"), None, "needs heads", applies=False)
    assert Benchmark((*outcomes(a=green).outcomes, left_out)).exit_code == 0
    assert Benchmark((left_out,)).exit_code == 3


def test_tables_have_every_verdict_and_escape_what_would_act(result):
    named = outcomes(**{"=cmd_1": result, "other": result})
    rows = list(csv.DictReader(io.StringIO(verdicts_csv(named))))
    assert len(rows) == 2 * len(result.checks)
    assert {row["explainer"] for row in rows} == {"'=cmd_1", "other"}
    assert all(row["remedy"] for row in rows if row["verdict"] == "violation")
    assert r"=cmd\_1 & " in latex(named)
    columns = latex(named).splitlines()[3].count("&")
    assert {line.count("&") for line in latex(named).splitlines() if "&" in line} == {columns}
    first = of_quality(result, [0.1, 0.2])
    rows = list(csv.DictReader(io.StringIO(quality_csv(outcomes(one=first, other=first)))))
    assert [(r["measure"], r["explainer"], r["best_rank"]) for r in rows] == [
        ("quality", "one", "1"), ("quality", "other", "1"),
    ]  # fmt: skip


def test_hostile_names_stay_text(hostile):
    page = render_benchmark(outcomes(**{HOSTILE: hostile}))
    assert "<img src=x" not in page
    assert "<script>alert" not in page


def test_the_page_tells_what_is_run_at_less_than_its_default(result):
    page = render_benchmark(outcomes(**{"rise?masks=256": result, "gradient": result}))
    assert page.count("masks 256 instead of 2000") == 2  # verdicts and cost
    assert page.count(" instead of ") == 2


def test_only_a_process_that_runs_no_explainer_fills_what_is_shared(tmp_path):
    read, fill = (
        Tasks(shared=Shared(tmp_path / "all", fills=fills)).of(tmp_path / "evidence", "maps")
        for fills in (False, True)
    )

    def kept(tasks, value, *, of_model=True):
        draw = functools.partial(torch.full, (2,), value)
        return float(tasks.one_drawn("one", draw, of_model=of_model)[0])

    assert kept(read, 1.0) == 1  # measured, and kept with its own evidence alone
    assert not (tmp_path / "all").exists()
    assert kept(fill, 2.0) == 2
    assert kept(fill, 3.0) == 2
    assert kept(read, 3.0) == 2
    assert kept(read, 3.0, of_model=False) == 1


def test_audits_are_those_of_check_and_share_what_is_the_models(command, tiny_model):
    words = ("--model", tiny_model, *SMALL, *CHECKS)
    done = command("benchmark", "grad-eclip", "gradient", *words, "--out", "b")
    assert done.exit_code == 1, done.output
    assert done.output.splitlines()[-1] == "exit code 1; page: b/benchmark.html"
    assert command("check", "-e", "gradient", *words, "--out", "alone").exit_code == 0
    ours, alone = (load_result(Path(p, "result.json").read_text()) for p in ("b/gradient", "alone"))
    assert ours.checks == alone.checks
    assert ours.pair_quality == alone.pair_quality
    assert list(Path("b/shared").rglob("reference*.npz"))
    assert not list(Path("b/shared").rglob("*gradient*.npz"))  # of the audited ones nothing
    page = Path("b/benchmark.html").read_text("utf-8")
    assert 'href="grad-eclip/report.html"' in page
    assert "http" not in page.split("<main")[1].split("</main>")[0]


def test_an_interrupted_one_goes_on_where_it_was(command, tiny_model):
    Path("mine.py").write_text("def explain(model, images, targets):\n    return images.mean(1)\n")
    given = {"model": tiny_model, "samples": 4, "profile": "quick", "select": ("P101",)}
    settings = Settings(**given, out="b", history=False)
    asked = cells(["mine.py:explain", "edges"], [{}], settings)
    state = Path("b", STATE)

    def stop(outcome):
        raise KeyboardInterrupt

    def kept(asked):
        return [one.kept for one in run_benchmark(asked, Path("b")).outcomes]

    with pytest.raises(KeyboardInterrupt):
        run_benchmark(asked, Path("b"), told=stop)
    assert json.loads(state.read_text()) == {"finished": False}
    assert kept(asked) == [True, False]
    assert json.loads(state.read_text()) == {"finished": True}
    assert kept(asked[1:]) == [False]  # a finished one is run anew
    state.write_text('{"finished": false}')
    Path("mine.py").write_text("def explain(model, images, targets):\n    return images.amax(1)\n")
    assert kept(asked)[0] is False  # nor the others here, whose process has loaded the file too


def test_one_that_raises_does_not_stop_the_others(command, tiny_model):
    Path("mine.py").write_text("def explain(model, images, targets):\n    raise KeyError('x')\n")
    words = ("--model", tiny_model, *SMALL, "--select", "P101")
    done = command("benchmark", "mine.py:explain", "gradient", *words)
    assert done.exit_code == 3, done.output
    assert "not run" in done.output
    assert "no violation found" in done.output
    assert "mine.py:2" in Path("audit-benchmark/benchmark.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected one explainer or more, or --all"),
        (["grad-eclp"], "did you mean 'grad-eclip'?"),
        (["gradient", "--select", "P140"], "unknown check 'P140'"),
    ],
)
def test_wrong_usage_is_told_before_the_work_begins(command, words, message):
    done = command("benchmark", *words)
    assert done.exit_code == 2
    assert message in done.output
    assert not Path("audit-benchmark").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_in_a_browser(tmp_path, result, green):
    path = tmp_path / "page.html"
    path.write_text(render_benchmark(outcomes(one=result, two=green)), encoding="utf-8")
    expect_a_sound_page(path, tmp_path / "profile")
