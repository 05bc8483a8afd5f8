"""Tables of papers measured anew: their rows, their numbers, and what stands beside them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from audit.config.settings import Settings
from audit.data.bundled_scenes import bundled_pairs
from audit.engine.context_building import load_audited_model
from audit.engine.protocol_presets import CAAP, GRAD_ECLIP, UnknownProtocolError, preset_named
from audit.engine.protocol_runs import ProtocolRun
from audit.engine.protocol_tables import cells_of, csv_of, latex_of, lines_of
from audit.evidence.context import all_maps
from audit.explainers.binding import bound
from audit.explainers.registry import load_explainer
from audit.metrics.localization import mask_on_grid
from audit.metrics.overlap import weighted_f_measure

DELETION, INSERTION = GRAD_ECLIP.measures


def made(seed=0, pairs=40):
    """A run in which each number is known: the first explainer is best by 0.2 on each pair."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.3, 0.6, pairs)
    values = {
        name: {DELETION: tuple(base + worse), INSERTION: tuple(base - worse)}
        for name, worse in zip(GRAD_ECLIP.explainers, (0.0, 0.2, 0.1), strict=True)
    }
    return ProtocolRun("ViT-B-16, openai", "pictures", tuple(range(pairs)), values, {}), base


def test_published_numbers_keep_the_order_of_the_paper():
    for of in (lambda stated: stated.published, lambda stated: stated.reproduced):
        deletion = [of(GRAD_ECLIP.stated[n][DELETION]) for n in GRAD_ECLIP.explainers]
        insertion = [of(GRAD_ECLIP.stated[n][INSERTION]) for n in GRAD_ECLIP.explainers]
        assert deletion == sorted(deletion)  # lower is better
        assert insertion == sorted(insertion, reverse=True)


def test_rows_of_an_ablation_change_one_factor():
    specs = CAAP.specs(12)
    assert specs == (
        "caap", "caap?neutral=blurred", "caap?window=3", "caap?window=5",
        "caap?start=0&stop=3", "caap?start=3&stop=6", "caap?start=6&stop=9",
        "caap?start=9&stop=12", "caap?start=0&stop=12",
    )  # fmt: skip
    assert "caap?start=0&stop=2" in CAAP.specs(2)
    assert not any("start=0&stop=0" in spec for spec in CAAP.specs(2))
    assert CAAP.specs(0) == CAAP.explainers
    assert GRAD_ECLIP.specs(12) == GRAD_ECLIP.explainers


def test_means_and_paired_differences_are_those_of_the_pairs():
    run, base = made()
    cells = {(cell.explainer, cell.measure): cell for cell in cells_of(GRAD_ECLIP, run)}
    assert cells["grad-eclip", DELETION].mean.value == pytest.approx(base.mean())
    assert cells["grad-eclip", DELETION].behind is None
    for measure in (DELETION, INSERTION):  # worse is positive, whichever way the measure goes
        behind = cells["maskclip?keys=true", measure].behind
        assert (behind.value, behind.low, behind.high) == pytest.approx((0.2, 0.2, 0.2))
    assert cells["grad-cam", DELETION].published == 0.3417
    assert cells["grad-cam", INSERTION].reproduced == 0.2655


def test_tables_show_what_others_give():
    run, base = made()
    lines = list(lines_of(GRAD_ECLIP, run))
    assert lines[0] == "grad-eclip: 40 pairs of pictures, ViT-B-16, openai"
    row = next(line for line in lines if line.startswith("grad-eclip  "))
    assert f"{base.mean():.4f}" in row
    assert "0.2464      0.2489" in row
    rows = list(csv.DictReader(csv_of(GRAD_ECLIP, run).splitlines()))
    assert len(rows) == 6
    first = rows[0]
    assert (first["explainer"], first["measure"], first["published"], first["behind"]) == (
        "grad-eclip", DELETION, "0.2464", "",
    )  # fmt: skip
    assert float(first["mean"]) == pytest.approx(base.mean())
    assert f"{base.mean():.4f} (0.2464)" in latex_of(GRAD_ECLIP, run)


def test_an_unknown_protocol_is_told(command):
    with pytest.raises(UnknownProtocolError, match="did you mean 'grad-eclip'"):
        preset_named("grad-eclp")
    done = command("benchmark", "--protocol", "rise")
    assert done.exit_code == 2
    assert "expected one of grad-eclip, caap" in done.output


def test_a_protocol_measures_the_explainers_on_all_pairs(command, tiny_model):
    words = ["--model", tiny_model, "--samples", "5", "--out", "b"]
    done = command("benchmark", "--protocol", "grad-eclip", "edges", *words)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(Path("b/grad-eclip.csv").read_text().splitlines()))
    assert [row["explainer"] for row in rows[::2]] == [*GRAD_ECLIP.explainers, "edges"]
    assert {row["pairs"] for row in rows} == {"5"}
    assert all(0 <= float(row["mean"]) <= 1 for row in rows)
    assert not any(row["published"] for row in rows[-2:])


def test_an_ablation_has_the_values_of_its_settings(command, tiny_model):
    words = ["--model", tiny_model, "--samples", "4", "--out", "b"]
    done = command("benchmark", "--protocol", "caap", *words)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(Path("b/caap.csv").read_text().splitlines()))
    found = {row["explainer"]: float(row["mean"]) for row in rows if row["measure"] == "weighted-f"}
    assert set(found) == set(CAAP.specs(2))
    settings = Settings(model=tiny_model, samples=4)
    model = load_audited_model(settings)
    pairs = bundled_pairs(model, 4, seed=settings.seed)
    masks = mask_on_grid(pairs.masks, model.patch_grid)
    for spec in ("caap?window=3", "caap?start=0&stop=2"):
        maps = all_maps(bound(load_explainer(spec), model, pairs.targets), model, pairs)
        known = weighted_f_measure(maps, masks).nanmean()  # one that no patch half covers has none
        assert found[spec] == pytest.approx(float(known), abs=1e-6)
    assert found["caap?window=3"] != found["caap"]
