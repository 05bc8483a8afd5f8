"""`audit plan` says what the audit then takes: passes and bytes, kind by kind."""

import functools
import json
from pathlib import Path

import pytest
import torch

from audit.config.settings import Settings, SettingsError
from audit.engine.auditing import run_audit
from audit.engine.planning import STARTING, plan_audit
from audit.engine.progress import silent
from audit.evidence import plan as planner
from audit.evidence.counted_passes import passes_counted
from audit.models.loading import load_model

NEAR = 0.25


def counting(spent, kind, gather, passes):
    @functools.wraps(gather)
    def counted(*args, **kwargs):
        before = passes.forward, passes.backward
        found = gather(*args, **kwargs)
        spent[kind] = passes.forward - before[0], passes.backward - before[1]
        return found

    return counted


def measured(settings):
    """Forward and backward passes of each kind that an audit measures, and its bytes on disk."""
    model, spent = load_model(settings.model), {}
    with passes_counted() as one, torch.no_grad():
        model.features(torch.zeros(1, 3, model.image_size, model.image_size))
    with pytest.MonkeyPatch.context() as patch, passes_counted() as passes:
        for kind, gather in list(planner.GATHERERS.items()):
            patch.setitem(planner.GATHERERS, kind, counting(spent, kind, gather, passes))
        assert run_audit(settings, silent).result.failures == []
    evidence = Path(settings.out) / "evidence"
    return {
        kind: (
            forward / one.forward,
            backward / one.forward,
            sum(file.stat().st_size for file in evidence.glob(f"{kind}.*")),
        )
        for kind, (forward, backward) in spent.items()
    }


SOME = {
    "principle 1": {"samples": 4, "explainer": "gradient", "select": ("P107", "P108")},
    "a ladder": {"samples": 8, "explainer": "grad-attention", "select": ("P201",)},
}


@pytest.mark.parametrize("name", SOME)
def test_an_audit_takes_what_its_plan_says(tiny_model, tmp_path, name):
    model = "bundled" if name == "a ladder" else tiny_model
    settings = Settings(
        model=model, profile="quick", history=False, out=str(tmp_path / "out"), **SOME[name]
    )
    plan = plan_audit(settings)
    assert not (tmp_path / "out").exists()
    found = measured(settings)
    parts = {part.what: part for part in plan.parts}
    needed = {part.what for part in plan.parts if not part.on_demand} - {STARTING}
    assert needed <= found.keys() <= parts.keys()
    for kind, (forwards, backwards, size) in found.items():
        part = parts[kind]
        assert part.failure == ""
        assert part.forwards == pytest.approx(forwards, rel=NEAR), kind
        assert part.backwards == pytest.approx(backwards, rel=NEAR), kind
        assert part.bytes == pytest.approx(size, rel=NEAR, abs=2000), kind
    every = [parts[kind] for kind in found]
    forwards, backwards, size = (sum(column) for column in zip(*found.values(), strict=True))
    assert sum(part.forwards for part in every) == pytest.approx(forwards, rel=NEAR)
    assert sum(part.backwards for part in every) == pytest.approx(backwards, rel=NEAR)
    assert sum(part.bytes for part in every) == pytest.approx(size, rel=NEAR)


SMALL = ("--profile", "quick", "--samples", "auto", "--budget", "5", "--select", "P204")


def test_the_command_tells_as_json_what_it_can_and_cannot_see(command, tiny_model):
    done = command("plan", "-e", "grad-eclip", "--model", tiny_model, *SMALL, "--json")
    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)
    assert plan["pairs"] == 5
    asked = {part["what"] for part in plan["parts"] if part["on_demand"]}
    assert asked == {"ladder", "rung_faithfulness", "twin_maps"}
    for name in ("forwards", "backwards", "bytes", "seconds"):
        both = [sum(p[name] for p in plan["parts"] if not p["on_demand"])]
        both.append(sum(p[name] for p in plan["parts"]))
        assert [plan["needed"][name], plan["most"][name]] == pytest.approx(both)
    assert plan["most"]["forwards"] > plan["needed"]["forwards"] > 0
    assert plan["memory"] > 1e8
    assert any("whole budget of 5 pairs" in note for note in plan["notes"])
    assert any("ladder, rung_faithfulness, twin_maps" in note for note in plan["notes"])


def test_the_command_tells_a_row_for_each_kind(command, tiny_model):
    words = ("--model", tiny_model, "--samples", "4", "--select", "P205")
    done = command("plan", "-e", "gradient", *words)
    assert done.exit_code == 0, done.output
    rows = {line.split()[0]: line.split()[1:3] for line in done.output.splitlines() if line}
    assert int(rows["reference"][0]) > 0
    assert int(rows["reference"][1]) == 0
    assert int(rows["explanations"][1]) > 0
    assert rows["text_specificity"][0] == rows["explanations"][0]  # of as many pairs


def test_what_cannot_be_measured_says_why(command, tiny_model, tmp_path):
    (tmp_path / "own.py").write_text(
        "def other(model, images, targets):\n"
        "    if len(images) > 2:\n"
        "        raise ValueError('no more than two')\n"
        "    return model.encode_image(images)[:, :1, None] + images.mean(1)\n"
    )
    words = ("--model", tiny_model, "--samples", "4", "--select", "P205")
    done = command("plan", "-e", "own.py:other", *words)
    assert done.exit_code == 0, done.output
    (line,) = [one for one in done.output.splitlines() if one.startswith("explanations")]
    assert "could not be measured: " in line
    assert "no more than two" in line


def test_saved_evidence_has_no_plan(tmp_path):
    with pytest.raises(SettingsError, match="found saved evidence; leave --from-evidence out"):
        plan_audit(Settings(explainer="gradient", from_evidence=str(tmp_path)))
