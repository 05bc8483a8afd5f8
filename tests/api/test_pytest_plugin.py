"""What a test may ask of an explainer, in seconds; and whole audits behind a marker."""

import subprocess
import sys
from pathlib import Path

import pytest

import audit
from audit.api import asserting
from audit.api.asserting import UnsettledWarning
from audit.api.audit_result import Result
from tests.api.small_net import faulty, honest, net, tensors

pytest_plugins = ("pytester", "audit.pytest_plugin")
ROOT = str(Path(__file__).parents[2])


def test_an_honest_explainer_is_let_through(assert_explains):
    result = assert_explains(honest, net(), *tensors())
    ids = [f"P{i}" for i in (101, 102, 103, 104, 105, 109, 110)]
    assert list(result.findings) == ids
    assert {f.verdict.value for f in result.findings.values()} == {"pass"}
    assert result.data.pairs == 4


def test_a_faulty_one_fails_with_the_finding():
    with pytest.raises(AssertionError) as caught:
        audit.assert_explains(faulty, net(), *tensors())
    message = str(caught.value)
    assert "P105 computation-preserved: violation" in message
    assert "small_net.py:" in message
    assert "What to do: " in message
    assert "P101" not in message


def of_pixels(model, images, targets):
    return images.abs().amax(1)


def test_an_explainer_that_never_runs_the_model_does_not_explain_it(assert_explains):
    with pytest.raises(AssertionError, match=r"of_pixels: .*does not run the model\. .*P107"):
        assert_explains(of_pixels, net(), *tensors())
    assert assert_explains(of_pixels, net(), *tensors(), select="P101,P109").passed


def leaves_a_hook(model, images, targets):
    model[0].register_forward_hook(lambda *_: None)
    return honest(model, images, targets)


def test_a_line_is_named_once(assert_explains, monkeypatch):
    monkeypatch.chdir(Path(__file__).parent)
    with pytest.raises(AssertionError) as caught:
        assert_explains(leaves_a_hook, net(), *tensors())
    places = [line for line in str(caught.value).splitlines() if line.startswith("  at ")]
    assert places == ["  at test_pytest_plugin.py:47 forward hooks left behind"]


def test_what_could_not_be_told_is_a_warning(result, monkeypatch):
    """The result is made: of those that are judged here, none is surely inconclusive."""
    checks = [c for c in result.checks if c.id != "P103"]
    open_gate = Result.of(result.model_copy(update={"exit_code": 0, "checks": checks}))
    monkeypatch.setattr(asserting, "check", lambda *_, **__: open_gate)
    unsettled = [c.id for c in result.checks if c.finding.verdict.value == "inconclusive"]
    assert unsettled
    with pytest.warns(UnsettledWarning) as caught:
        assert audit.assert_explains(honest, net(), *tensors()) is open_gate
    assert [str(one.message).split()[0] for one in caught] == unsettled


@pytest.fixture
def project(pytester, monkeypatch):
    """In a process of its own: what is imported here must not be imported twice."""
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        test_release="""
        import pytest

        @pytest.mark.audit
        @pytest.mark.parametrize("name", ["honest", "faulty"])
        def test_release(audit_passes, name):
            from tests.api import small_net as here

            explainer, given = getattr(here, name), here.tensors()
            audit_passes(explainer, model=here.net(), data=given, samples=2,
                         select="P101,P105", supervised=False)

        def test_other():
            pass
        """
    )
    return pytester


def test_whole_audits_wait_until_they_are_asked_for(project):
    words = ("-p", "audit.pytest_plugin", "-p", "no:cacheprovider", "--strict-markers")
    project.runpytest_subprocess(*words).assert_outcomes(passed=1, skipped=2)
    done = project.runpytest_subprocess(
        *words, "--audit", "--audit-profile", "quick", "--audit-out", "reports"
    )
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["*P105 computation-preserved: violation*", "*small_net.py:*"])
    written = sorted(p.parent.name for p in project.path.glob("reports/*/report.html"))
    assert written == ["test_release[faulty]", "test_release[honest]"]


def test_pytest_starts_without_torch(tmp_path):
    (tmp_path / "test_light.py").write_text(
        "import sys\n\ndef test_light():\n"
        "    assert 'audit.pytest_plugin' in sys.modules\n"
        "    assert not {'torch', 'numpy', 'rich', 'pydantic'} & set(sys.modules)\n"
    )
    words = ["-q", "-p", "audit.pytest_plugin", "-p", "no:cacheprovider", "--rootdir", "."]
    light = (
        "import sys, pytest; sys.path.insert(0, sys.argv[1]); sys.exit(pytest.main(sys.argv[2:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", light, ROOT, *words],
        cwd=tmp_path,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
