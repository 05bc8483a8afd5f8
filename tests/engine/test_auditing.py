"""A whole audit: determinism, resumption, explainers that raise, models that know nothing."""

import base64
import io
import json
import shutil

import pytest
from PIL import Image

from audit.config.settings import Settings
from audit.engine import auditing
from audit.engine.auditing import run_audit
from audit.engine.progress import silent
from audit.engine.rejudging import rejudge
from audit.evidence.plan import GATHERERS
from audit.evidence.side_by_side import Forks
from audit.explainers.errors import ExplainerRaisedError, ExplainerReturnError
from audit.reports.output import write_reports
from audit.result.document import render_json
from audit.result.finding import Verdict
from audit.result.shown_pairs import pairs_shown
from principles.catalogue import all_checks

QUICK = {"samples": 12, "profile": "quick"}
TRACED = ("P101", "P102", "P103", "P104", "P105")

RAISING = """
def broken(model, images, tokens):
    if len(images) {condition}:
        raise RuntimeError("no <b>maps</b> today")
    return images.mean(1)[:, ::6, ::6]

def nan(model, images, tokens):
    return images.mean(1)[:, ::6, ::6] * float("nan")
"""


def verdicts(result):
    return {check.id: check.finding.verdict for check in result.checks}


AUDITED = {"explainer": "grad-eclip", "select": (*TRACED, "P204")}


def audit(tmp_path, name="out", **settings):
    chosen = Settings.model_validate({**QUICK, **settings, "out": str(tmp_path / name)})
    return run_audit(chosen, silent)


@pytest.fixture(scope="module")
def grad_eclip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    return folder, audit(folder, **AUDITED).result


def without_times(result):
    document = json.loads(render_json(result))
    del document["timing"]
    return document


def test_grad_eclip_fails_principle_1_and_names_the_fault(grad_eclip):
    result = grad_eclip[1]
    found = {check.id: check.finding for check in result.checks}
    assert result.exit_code == 1
    assert {i for i in ("P101", "P102", "P103") if found[i].verdict is Verdict.PASS} == {
        "P101",
        "P102",
        "P103",
    }
    assert found["P104"].verdict is Verdict.VIOLATION
    summary = found["P105"].summary
    assert found["P105"].verdict is Verdict.VIOLATION
    assert "block 3" in summary
    assert "heads 4 → 1" in summary
    place = found["P105"].locations[0]
    assert place.file.endswith("grad_eclip.py")
    assert place.line > 1
    assert found["P105"].witness.command.startswith("audit check --explainer grad-eclip")
    assert {figure.kind for figure in found["P105"].figures} >= {"bars", "pair", "source"}


def test_grad_eclip_is_reported_as_equivalent_to_attention_eclip(grad_eclip):
    other = next(e for e in grad_eclip[1].equivalences if e.name == "attention-eclip")
    assert other.equivalent
    assert other.largest_difference < 1e-5
    assert "attention-eclip" in grad_eclip[1].notes[0]


def test_executed_accuracy_is_stated_with_the_paired_interval(grad_eclip):
    finding = next(c.finding for c in grad_eclip[1].checks if c.id == "P204")
    assert finding.statistics[0].name == "executed minus model accuracy"
    assert finding.statistics[0].interval.low < finding.statistics[0].interval.high


def test_same_seed_gives_the_same_result_but_for_times(tmp_path, tiny_model):
    every_check = {"explainer": "grad-eclip", "model": tiny_model, "samples": 6}
    first, again = (audit(tmp_path, name, **every_check).result for name in ("one", "two"))
    assert len(first.checks) == len(all_checks())
    assert without_times(again) == without_times(first)


SMALL = {"samples": 4, "select": ("P101", "P104", "P105", "P109", "P206"), "dtype": "float64"}


@pytest.mark.parametrize("samples", [4, "auto"])
def test_resumed_or_judged_again_it_is_the_same_but_for_the_timing(tmp_path, tiny_model, samples):
    chosen = {**SMALL, "explainer": "grad-eclip", "model": tiny_model, "samples": samples}
    chosen |= {"budget": 8} if samples == "auto" else {}
    first = audit(tmp_path, "first", **chosen).result
    again = audit(tmp_path, "again", **chosen).result
    write_reports(first, tmp_path / "first", ["json"])
    folder = tmp_path / "again" / "evidence"
    for path in [*folder.rglob("repeatability.json"), *folder.rglob("faithfulness.json")]:
        path.unlink()  # as if it had been interrupted
    resumed = audit(tmp_path, "again", **chosen).result
    settings = Settings.model_validate({**QUICK, **chosen, "out": str(tmp_path / "judged")})
    rejudged = rejudge(tmp_path / "first", settings)
    assert set(first.timing.judging) == set(SMALL["select"])
    assert {"reference", "trace", "explanations"} <= first.timing.gathering.keys()
    assert rejudged.timing.started == first.timing.started
    for other in (again, resumed, rejudged):
        assert without_times(other) == without_times(first)


def test_each_picture_is_drawn_and_held_once(grad_eclip):
    result = grad_eclip[1]
    shown = pairs_shown(result.checks, result.gallery)
    assert list(result.shown_pairs) == shown
    assert len(result.gallery) == result.data.pairs
    assert {pair.picture for pair in result.shown_pairs.values()} == set(result.pictures)
    assert len(result.pictures) == result.data.pictures < len(shown)
    for png in result.pictures.values():
        with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
            assert picture.size == (72, 72)
    assert all(len(pair.mask) == 12 for pair in result.shown_pairs.values())


def test_finished_evidence_is_used_again(grad_eclip, monkeypatch):
    folder, first = grad_eclip

    def refuse(context):
        raise AssertionError("gathered twice")

    monkeypatch.setitem(GATHERERS, "executed", refuse)
    again = audit(folder, **AUDITED).result
    assert verdicts(again) == verdicts(first)


def test_evidence_of_another_format_is_gathered_again(grad_eclip, tmp_path, monkeypatch):
    shutil.copytree(grad_eclip[0], tmp_path, dirs_exist_ok=True)

    def refuse(context):
        raise AssertionError("gathered again")

    monkeypatch.setitem(GATHERERS, "reference", refuse)
    assert not audit(tmp_path, explainer="grad-eclip", select=("P204",)).result.failures
    monkeypatch.setattr("audit.engine.evidence_key.evidence_format", lambda: "of another version")
    failures = audit(tmp_path, explainer="grad-eclip", select=("P204",)).result.failures
    assert "gathered again" in failures[0].message


def test_an_explainer_that_raises_on_the_first_pairs_is_told_once(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(RAISING.replace("{condition}", "> 1"))
    with pytest.raises(ExplainerRaisedError, match=r"no <b>maps</b> today.*mine\.py:4, in broken"):
        audit(tmp_path, explainer=f"{file}:broken")


def test_an_explainer_that_raises_later_is_an_error_and_loses_nothing(tmp_path, tiny_model):
    file = tmp_path / "mine.py"
    file.write_text(RAISING.replace("{condition}", "== 1"))
    result = audit(tmp_path, explainer=f"{file}:broken", model=tiny_model).result
    assert result.exit_code == 3
    assert Verdict.ERROR in verdicts(result).values()
    assert "no <b>maps</b> today" in result.failures[0].traceback
    assert (tmp_path / "out" / "evidence" / "reference.json").is_file()


def test_a_dear_explainer_is_traced_on_fewer_pairs_and_the_result_says_so(tmp_path):
    found = audit(tmp_path, explainer="occlusion", select=("P103",), model="bundled").result
    (note,) = [n for n in found.notes if "was traced on" in n]
    assert note.startswith("occlusion was traced on 2 of 3 pairs, since an explanation takes ")


@pytest.mark.parametrize(
    ("explainer", "violated"), [("grad-eclip", {"P104", "P105"}), ("grad-attention", set())]
)
def test_half_precision_hides_no_fault_and_accuses_nobody(tmp_path, explainer, violated):
    """Traced in bfloat16, the score of grad-eclip would be the model's to within its rounding."""
    found = audit(tmp_path, explainer=explainer, select=TRACED, dtype="bfloat16", samples=4).result
    bad = {name for name, verdict in verdicts(found).items() if verdict is not Verdict.PASS}
    assert bad == violated
    assert any("was traced in float32 on a copy of the model" in note for note in found.notes)
    assert found.conditions.dtype == "bfloat16"


def test_an_explainer_that_returns_nan_is_told_before_the_work(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(RAISING.replace("{condition}", "< 0"))
    with pytest.raises(ExplainerReturnError, match="expected finite maps"):
        audit(tmp_path, explainer=f"{file}:nan")


def test_a_model_that_knows_nothing_allows_no_verdict_on_quality(tmp_path):
    model = "local-dir:" + str(random_model(tmp_path))
    select = (*TRACED, "P201")
    result = audit(tmp_path, explainer="grad-attention", model=model, select=select).result
    found = verdicts(result)
    assert found["P201"] is Verdict.INCONCLUSIVE
    assert result.exit_code == 0
    assert [found[f"P10{i}"] for i in range(1, 6)] == [Verdict.PASS] * 5


def random_model(folder):
    """The bundled configuration with random weights."""
    from safetensors.torch import save_file

    from audit.models import bundled
    from audit.models.bundled.train import build_model

    target = folder / "model"
    target.mkdir()
    (target / "open_clip_config.json").write_text(bundled.CONFIG_PATH.read_text())
    state = {k: v.contiguous() for k, v in build_model(7).state_dict().items()}
    save_file(state, target / "open_clip_model.safetensors")
    return target


def test_random_weights_are_told_and_accuse_nobody(tmp_path, tiny_model):
    settings = {
        "model": tiny_model,
        "pretrained": "random",
        "samples": 6,
        "select": ("P101", "P107"),
    }
    found = audit(tmp_path, explainer="gradient", **settings).result
    assert found.model.pretrained == "random"
    assert any("random (seed 0)" in note for note in found.notes)
    assert found.model.notes
    assert Verdict.VIOLATION not in verdicts(found).values()


def test_how_many_processes_there_may_be_is_asked_once(tmp_path, monkeypatch):
    """Free memory, which may decide, is another a second later; threads go by the same number."""
    counts, seen = iter((3, 1)), []

    def tasks(*given):
        seen.append(given[3].count)
        raise InterruptedError

    monkeypatch.setattr(auditing, "forks_of", lambda *_: Forks(next(counts)))
    monkeypatch.setattr(auditing, "Tasks", tasks)
    with pytest.raises(InterruptedError):
        audit(tmp_path, explainer="gradient", select=("P201",))
    assert seen == [3]
