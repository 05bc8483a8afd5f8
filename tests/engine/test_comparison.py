"""Release against release: verdicts, and quality pair by pair with its interval."""

import numpy as np
import pytest

from audit.engine.comparison import compare_results, quality_changes
from audit.result.document import render_json
from audit.result.finding import Severity, Verdict
from audit.result.schema import MeasuredQuality, PairQuality, Waiver


def with_quality(result, values, pictures=None):
    rows = [
        PairQuality(pair=f"p{i}", picture=i if pictures is None else pictures[i], values={"m": v})
        for i, v in enumerate(values)
    ]
    return result.model_copy(update={"pair_quality": rows})


def test_a_result_against_itself_is_neither_worse_nor_lower(red):
    found = compare_results(red, red)
    assert not found.worse
    assert not found.lower
    assert not any(line.startswith("!") for line in found.lines)


def test_green_to_red_and_back(red, green):
    found = compare_results(green, red)
    assert found.worse
    assert any(line.startswith("! P104 score-preserved: pass → violation") for line in found.lines)
    assert not compare_results(red, green).worse


def test_warnings_and_waived_violations_are_worse_and_do_not_fail(red, green):
    warnings = [c.model_copy(update={"severity": Severity.WARNING}) for c in red.checks]
    warned = red.model_copy(update={"checks": warnings})
    found = compare_results(green, warned)
    assert not found.worse
    assert any(line.startswith("~ P104 score-preserved: pass → violation") for line in found.lines)
    assert compare_results(green, warned, fail_on=Severity.WARNING).worse
    assert compare_results(warned, red).worse  # heavier than before
    waiver = Waiver(check="P104", reason="r", owner="o", expires="2030-01-31")
    waived = [c.model_copy(update={"waiver": waiver}) for c in red.checks]
    assert not compare_results(green, red.model_copy(update={"checks": waived})).worse


def test_an_error_is_worse_than_anything_and_fails(red, check_of):
    passed, broken, violated, unclear = (
        red.model_copy(update={"checks": [check_of("P101", verdict=verdict)]})
        for verdict in (Verdict.PASS, Verdict.ERROR, Verdict.VIOLATION, Verdict.INCONCLUSIVE)
    )
    assert compare_results(passed, broken).worse
    assert not compare_results(broken, broken).worse
    assert compare_results(broken, violated).worse  # an ERROR was no verdict that was accepted
    assert not compare_results(passed, unclear).worse


def test_another_measure_that_decides_is_told(red):
    other = MeasuredQuality(
        name="energy",
        title="energy gain",
        decides=True,
        needs="masks, or grids",
        span="[-1, 1]",
        better="higher",
        source="Arras et al. 2022",
        differs="on patches",
    )
    found = compare_results(red, red.model_copy(update={"quality": [other]}))
    assert any(
        "was judged by average precision and is judged by energy gain" in n for n in found.notes
    )
    assert not any("was judged by" in note for note in compare_results(red, red).notes)


def test_every_pair_has_its_quality(red):
    assert [p.pair for p in red.pair_quality] == list(
        dict.fromkeys(p.pair for p in red.pair_quality)
    )
    assert len(red.pair_quality) == red.data.pairs
    assert {"average precision", "energy gain", "pointing game"} == {
        name for pair in red.pair_quality for name in pair.values
    }


def test_differences_are_paired_and_clustered(red):
    rng = np.random.default_rng(0)
    base = rng.normal(0.5, 0.3, 60)
    old = with_quality(red, base.tolist())
    new = with_quality(red, (base - 0.02 + rng.normal(0, 0.005, 60)).tolist())
    (change,) = quality_changes(old, new)
    assert change.lower
    assert change.low < change.new - change.old < change.high
    assert change.high - change.low < 0.01  # although quality itself varies by 0.3
    shared = [i // 30 for i in range(60)]
    (wide,) = quality_changes(
        with_quality(old, base.tolist(), shared), with_quality(new, base.tolist(), shared)
    )
    assert wide.pairs == 60
    assert compare_results(old, new).lower


def test_missing_pairs_and_numbers_are_left_out(red):
    old = with_quality(red, [0.1, None, 0.3, 0.4, 0.5])
    new = with_quality(red, [0.1, 0.2, None, 0.4])
    (change,) = quality_changes(old, new)
    assert change.pairs == 2
    assert change.old == pytest.approx(0.25)


def test_other_data_are_not_compared_pair_by_pair(red):
    other = red.model_copy(update={"data": red.data.model_copy(update={"sha256": "0"})})
    found = compare_results(red, other)
    assert quality_changes(red, other) == []
    assert any("the data differ" in line for line in found.lines)


def test_a_check_that_is_gone_is_worse(red):
    fewer = red.model_copy(update={"checks": red.checks[:1]})
    found = compare_results(red, fewer)
    assert "! P104 score-preserved: violation → not checked" in found.lines
    assert found.worse
    assert not compare_results(fewer, fewer).worse
    assert not any("→ not checked" in line for line in compare_results(fewer, red).lines)


def test_command_and_exit_codes(command, tmp_path, red, green):
    (tmp_path / "red.json").write_text(render_json(with_quality(red, [0.5, 0.4, 0.3])))
    (tmp_path / "green.json").write_text(render_json(green))
    (tmp_path / "low.json").write_text(render_json(with_quality(red, [0.4, 0.3, 0.2])))
    assert command("compare", "green.json", "red.json").exit_code == 1
    assert command("compare", "red.json", "green.json").exit_code == 0
    lower = command("compare", "red.json", "low.json")
    assert lower.exit_code == 0
    assert "~ quality by m: 0.400 → 0.300" in lower.output
    assert "!" not in lower.output
    strict = command("compare", "red.json", "low.json", "--strict")
    assert strict.exit_code == 1
    assert "! quality by m: 0.400 → 0.300, change -0.100, 95 % interval" in strict.output
    assert command("compare", "red.json", "none.json").exit_code == 2
