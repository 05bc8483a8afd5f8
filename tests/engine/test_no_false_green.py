"""Ways in which an audit once came out green that was not: found by trying to break it."""

from pathlib import Path

import pytest

from audit.result.document import load_result

GRADIENT = """\
import torch


def gradient(model, images, targets):
    images = images.clone().requires_grad_()
    image, text, _ = model(images, targets)
    (found,) = torch.autograd.grad((image * text).sum(), images)
    return found.abs().amax(1)
"""
AT_THE_FIRST_CALL = """

DONE = False


def explain(model, images, targets):
    global DONE
    if not DONE:
        DONE = True
        block = model.visual.transformer.resblocks[-1]
        with torch.no_grad():
            block.attn.in_proj_weight.mul_(1.5)
        old = block.mlp.forward
        block.mlp.forward = lambda x: 0 * old(x)
    return gradient(model, images, targets)
"""
WHEN_IMPORTED = """
import open_clip.transformer as library

_forward = library.ResidualAttentionBlock.forward


def forward(self, *given, **more):
    out = _forward(self, *given, **more)
    return out + 0.3 * torch.relu(out)


library.ResidualAttentionBlock.forward = forward
explain = gradient
"""
LATE = """
import glob
import os

explain_first = gradient


def explain(model, images, targets):
    if glob.glob("audit-report/evidence/trace*.json"):
        {}
    return gradient(model, images, targets)
"""


def result_of(folder="audit-report"):
    return load_result(Path(folder, "result.json").read_text(encoding="utf-8"))


def verdicts():
    return {check.id: check.finding.verdict.value for check in result_of().checks}


def test_what_is_altered_at_the_first_call_only(check_tiny):
    Path("mine.py").write_text(GRADIENT + AT_THE_FIRST_CALL)
    done = check_tiny("mine.py:explain", select="P101,P102")
    assert done.exit_code == 1
    assert verdicts() == {"P101": "violation", "P102": "violation"}
    assert "(after its first call)" in done.output
    first = result_of().checks[1].finding
    assert first.locations[0].file.endswith("mine.py")


@pytest.mark.supervised
def test_what_is_patched_when_the_explainer_is_imported(check_tiny):
    Path("mine.py").write_text(GRADIENT + WHEN_IMPORTED)
    done = check_tiny("mine.py:explain", select="P102")
    assert done.exit_code == 1
    words = " ".join(done.output.split())
    assert "forward of class ResidualAttentionBlock replaced (when it was imported)" in words


@pytest.mark.parametrize(
    "how",
    [
        'raise ValueError("late")',
        pytest.param("os._exit(0)", marks=pytest.mark.supervised),
        pytest.param("os.kill(os.getpid(), 9)", marks=pytest.mark.supervised),
    ],
)
def test_an_explainer_that_fails_where_no_selected_check_looks(check_tiny, how):
    Path("mine.py").write_text(GRADIENT + LATE.format(how))
    done = check_tiny("mine.py:explain", select="P101,P103")
    assert done.exit_code == 3
    assert Path("audit-report", "result.json").exists(), done.output
    assert result_of().verdict == "incomplete"
    assert " failed." in " ".join(done.output.split())
    assert not Path("audit-report", "evidence", "finished").exists()


def test_an_older_result_is_set_aside_before_the_explainer_is_imported(check_tiny):
    own = Path("mine.py")
    own.write_text(GRADIENT)
    assert check_tiny("mine.py:gradient", select="P101").exit_code == 0
    for broken in ("raise ValueError('broken')\n", "def gradient(*_):\n    return None\n"):
        own.write_text(broken)
        assert check_tiny("mine.py:gradient", select="P101").exit_code in {2, 3}
        assert not Path("audit-report", "result.json").exists()
        assert not Path("audit-report", "report.html").exists()
        assert result_of("audit-report/previous").exit_code == 0
    own.write_text(GRADIENT)
    assert check_tiny("mine.py:gradient", select="P101").exit_code == 0
    assert not Path("audit-report", "previous").exists()


def test_a_baseline_in_the_folder_of_the_reports_still_counts(check_tiny):
    assert check_tiny("grad-eclip", select="P104").exit_code == 1
    accepted = ("--baseline", "audit-report/result.json")
    assert check_tiny("grad-eclip", *accepted, select="P104").exit_code == 0


@pytest.mark.supervised
def test_maps_that_are_computed_when_they_are_asked_for_count_as_the_call(check_tiny):
    Path("mine.py").write_text(
        GRADIENT
        + "\n\nclass Late:\n"
        + "    @property\n    def maps(self):\n        import time\n\n        time.sleep(1000)\n"
        + "\n\ndef explain(*_):\n    return Late()\n"
    )
    done = check_tiny("mine.py:explain", "--timeout", "3", select="P101")
    assert done.exit_code == 3
    assert "took longer than 3 s" in " ".join(done.output.split())


def test_an_honest_explainer_may_use_its_memory_again(check_tiny):
    Path("mine.py").write_text(
        GRADIENT
        + "\n\nBUFFER = torch.zeros(4096, 4, 4, dtype=torch.float64)\n"
        + "\n\ndef explain(model, images, targets):\n"
        + "    maps = gradient(model, images, targets)[:, None]\n"
        + "    found = torch.nn.functional.adaptive_avg_pool2d(maps, 4)[:, 0]\n"
        + "    return BUFFER[: len(found)].copy_(found)\n"
    )
    assert check_tiny("mine.py:explain", select="P109").exit_code == 0
