"""The command line: bad input with its message and exit code, and every command once."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.result.document import load_result

BROKEN = {
    "syntax.py": "def explain(model, images, tokens)\n",
    "missing.py": "import a_module_that_nobody_has\n\ndef explain(model, images, tokens): ...\n",
    "exits.py": "raise SystemExit(0)\n\ndef explain(model, images, tokens): ...\n",
    "text.py": "def explain(model, images, tokens):\n    return 'a map'\n",
    "flat.py": "def explain(model, images, tokens):\n    return images.mean(1).flatten(1)\n",
    "nan.py": "def explain(model, images, tokens):\n    return images.mean(1) * float('nan')\n",
    "alone.py": "def explain(model, images, tokens):\n    return images[:1].mean(1)\n",
}


def result_of(folder="audit-report"):
    return load_result(Path(folder, "result.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-e", "grad-eclp"], ["unknown explainer 'grad-eclp'", "did you mean 'grad-eclip'?"]),
        (["-e", "none.py:explain"], ["expected a Python file, found none at 'none.py'"]),
        (
            ["-e", "syntax.py:explain"],
            ["syntax.py:explain", "expected it to import", "SyntaxError"],
        ),
        (["-e", "missing.py:explain"], ["ModuleNotFoundError", "a_module_that_nobody_has"]),
        (["-e", "exits.py:explain"], ["expected it to import", "SystemExit"]),
        (["-e", "text.py:expain"], ["expected a function 'expain'", "did you mean 'explain'?"]),
        (["-e", "text.py:explain"], ["expected a tensor (pairs, h, w)", "got str"]),
        (["-e", "flat.py:explain"], ["expected maps of shape (2, h, w), got (2, 576)"]),
        (["-e", "nan.py:explain"], ["expected finite maps", "NaN"]),
        (["-e", "alone.py:explain"], ["expected maps of shape (2, h, w), got (1, 24, 24)"]),
        (["-e", "gradient", "--option", "speed=1"], ["unknown option 'speed'"]),
        (["-e", "grad-eclip", "--option", "heads=two"], ["'heads' expected released|model"]),
        (["-e", "gradient", "--samples", "0"], ["'samples'", "greater than or equal to 1, got 0"]),
        (["-e", "gradient", "--samples", "few"], ["'--samples'", "expected a number or auto"]),
        (["-e", "gradient", "--seed", "-1"], ["'seed'", "greater than or equal to 0, got -1"]),
        (["-e", "gradient", "--out", "full/here"], ["cannot write to the folder 'full/here'"]),
        (["-e", "gradient", "--attest", "full/a.json"], ["'full'", "choose another --attest"]),
        (["-e", "gradient", "--format", "htlm"], ["unknown format 'htlm'", "mean 'html'?"]),
        (["-e", "gradient", "--select", "P140"], ["unknown check 'P140'"]),
        (["-e", "gradient", "--select", "P1", "--ignore", "P1"], ["no check is left to run"]),
        (["-e", "gradient", "--severity", "P104=fatal"], ["'severity.P104'", "got 'fatal'"]),
        (["-e", "gradient", "--threshold", "P201.corelation=1"], ["no threshold 'corelation'"]),
        (["-e", "gradient", "--threshold", "P201=1"], ["expected CHECK.NAME=NUMBER"]),
        (["-e", "gradient", "--threshold", "P201.x=high"], ["expected CHECK.NAME=NUMBER"]),
        (["-e", "gradient", "--pair", "none"], ["no pair 'none' among the 4 pairs"]),
        (["-e", "gradient", "--device", "abacus"], ["unknown device 'abacus'"]),
        (["-e", "gradient", "--data", "none.csv"], ["none.csv"]),
        (["-e", "gradient", "--waivers", "none.toml"], ["cannot read the waivers 'none.toml'"]),
        (["-e", "gradient", "--baseline", "none.json"], ["cannot read the baseline 'none.json'"]),
        (["-e", "gradient", "--baseline", "full"], ["cannot read the baseline 'full'", "no JSON"]),
        (["--from-evidence", "nowhere"], ["no evidence in 'nowhere/evidence'"]),
        ([], ["no explainer given", "--explainer NAME"]),
    ],
)
def test_bad_input_has_a_message_and_exit_code_2(command, tiny_model, words, message):
    for name, text in BROKEN.items():
        Path(name).write_text(text)
    Path("full").write_text("a file where a folder is wanted")
    small = [] if "--samples" in words else ["--samples", "4"]
    done = command("check", "--model", tiny_model, *small, *words)
    assert done.exit_code == 2, done.output
    for word in message:
        assert word in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert not Path("audit-report", "result.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "ViT-B-61"], ["unknown model 'ViT-B-61'", "did you mean 'ViT-B-"]),
        (["--model", "local-dir:none"], ["expected open_clip_config.json in the folder 'none'"]),
        (["--model", "ViT-B-16", "--pretrained", "./a.pt"], ["no checkpoint file './a.pt'"]),
        (["--model", "ViT-B-16", "--pretrained", "openia"], ["unknown weights", "'openai'?"]),
    ],
)
def test_models_that_there_are_not(command, words, message):
    done = command("check", "-e", "gradient", *words)
    assert done.exit_code == 2, done.output
    for word in message:
        assert word in done.output


def test_weights_that_do_not_fit(command, tiny_model):
    other = Path("other")
    other.mkdir()
    config = json.loads(
        Path(tiny_model.removeprefix("local-dir:"), "open_clip_config.json").read_text()
    )
    config["model_cfg"]["vision_cfg"]["layers"] = 3
    (other / "open_clip_config.json").write_text(json.dumps(config))
    weights = Path(tiny_model.removeprefix("local-dir:"), "open_clip_model.safetensors")
    (other / "open_clip_model.safetensors").write_bytes(weights.read_bytes())
    done = command("check", "-e", "gradient", "--model", "local-dir:other")
    assert done.exit_code == 2, done.output
    assert "open_clip_model.safetensors' is of another architecture than the model" in done.output


def test_checkpoint_that_is_none(command):
    Path("weights.pt").write_bytes(b"no weights")
    done = command(
        "check", "-e", "gradient", "--model", "ViT-S-32-alt", "--pretrained", "weights.pt"
    )
    assert done.exit_code == 2, done.output
    assert "cannot read checkpoint 'weights.pt'" in done.output


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise RuntimeError('no maps today')", ["RuntimeError: no maps today"]),
        ("raise SystemExit(0)", ["SystemExit: 0"]),
        ("return helper.deeper(images)", ["KeyError: 'gone'", "helper.py:2, in deeper"]),
        ("return images.nonsense()", ["AttributeError"]),
        ("return images.mean(1) + images.mean((0, 1)).T.reshape(7)", ["RuntimeError", "own.py:4"]),
    ],
)
def test_an_explainer_that_raises_is_told_once_with_its_line(check_tiny, monkeypatch, body, words):
    monkeypatch.syspath_prepend(".")
    Path("helper.py").write_text("def deeper(images):\n    return {}['gone']\n")
    Path("own.py").write_text(f"import helper\n\ndef explain(model, images, tokens):\n    {body}\n")
    done = check_tiny("own.py:explain", select="P104,P105")
    assert done.exit_code == 3, done.output
    assert "Traceback" not in done.output
    assert done.output.count(words[0]) == 1
    assert "explainer 'own.py:explain' raises on the first pairs" in done.output
    for word in (*words, ".py:", ", in "):
        assert word in done.output
    assert "site-packages" not in done.output
    assert not Path("audit-report", "result.json").exists()


def test_an_explainer_that_fails_later_is_an_error_with_its_traceback(check_tiny):
    Path("own.py").write_text(
        "calls = []\n\ndef explain(model, images, tokens):\n    calls.append(1)\n"
        "    if len(calls) > 1:\n        raise RuntimeError('no maps today')\n"
        "    return images.mean(1)\n"
    )
    done = check_tiny("own.py:explain", "--format", "html,json", select="P104,P105")
    assert done.exit_code == 3, done.output
    result = result_of()
    assert result.verdict == "incomplete"
    assert {c.finding.verdict.value for c in result.checks} == {"error"}
    assert any("own.py" in failure.traceback for failure in result.failures)
    page = Path("audit-report", "report.html").read_text(encoding="utf-8")
    assert "no maps today" in page


def test_trial_leaves_no_trace(check_tiny):
    Path("own.py").write_text(
        "def explain(model, images, tokens):\n"
        "    with __import__('torch').no_grad():\n"
        "        model.visual.proj.zero_()\n"
        "    return images.mean(1)\n"
    )
    done = check_tiny("own.py:explain", select="P101")
    assert done.exit_code == 1
    (check,) = result_of().checks
    assert "visual.proj" in json.dumps(check.finding.model_dump(mode="json"))


def test_check_writes_what_was_asked_for(check_tiny):
    done = check_tiny("grad-attention", "--format", "html,sarif,junit,markdown,github")
    assert done.exit_code == 0, done.output
    written = {path.name for path in Path("audit-report").iterdir()}
    files = {"report.html", "result.json", "audit.sarif", "junit.xml", "summary.md"}
    assert files | {".audit.lock", "annotations.txt", "evidence"} == written
    assert "no violation found in" in done.output
    assert result_of().exit_code == 0


def test_severity_by_prefix_and_fail_on(check_tiny):
    assert check_tiny("grad-eclip").exit_code == 1
    assert check_tiny("grad-eclip", "--severity", "P1=warn").exit_code == 0
    assert {c.severity.value for c in result_of().checks} == {"warning"}
    mixed = check_tiny("grad-eclip", "--severity", "P1=warn", "--severity", "p105=error")
    assert mixed.exit_code == 1
    assert "grad-eclip computes another network (P105)." in mixed.output
    assert check_tiny("grad-eclip", "--severity", "P1=warn", "--fail-on", "warning").exit_code == 1


def test_the_witness_command_shows_the_violation_again(check_tiny, command):
    check_tiny("grad-eclip", "--option", "weight=raw", select="P104,P105")
    before = Path("audit-report/result.json").read_bytes()
    history = sorted(Path(".audit").rglob("*"))
    for check in result_of().checks:
        words = shlex.split(check.finding.witness.command)
        assert words[:2] == ["audit", "check"]
        again = command(*words[1:])
        assert again.exit_code == 1, again.output
        aside = result_of(f"audit-report/see-again/{check.id}")
        (shown,) = aside.checks
        assert shown.id == check.id
        assert aside.data.pairs == 1
        assert shown.finding.witness.pair == check.finding.witness.pair
    assert Path("audit-report/result.json").read_bytes() == before
    assert sorted(Path(".audit").rglob("*")) == history


def test_strict_fails_on_inconclusive(check_tiny):
    assert check_tiny("grad-attention", select="P101,P201").exit_code == 0
    done = check_tiny("grad-attention", "--strict", select="P101,P201")
    assert done.exit_code == 1
    assert "--strict does not accept that P201 is inconclusive" in " ".join(done.output.split())


def test_a_required_check_without_a_verdict_fails(check_tiny, command):
    assert check_tiny("grad-attention", "--require", "P101", select="P101,P201").exit_code == 0
    done = check_tiny("grad-attention", "--require", "P101,P201", select="P101,P201")
    assert done.exit_code == 1
    assert "--require wants a verdict of P201 (inconclusive)" in " ".join(done.output.split())
    again = ("check", "--from-evidence", "audit-report", "--out", "again", "--select", "P101,P201")
    assert command(*again).exit_code == 0
    assert command(*again, "--require", "P2").exit_code == 2  # P202 does not run
    assert command(*again, "--require", "P101-P102", "--select", "P102").exit_code == 0
    assert command(*again, "--require", "P201").exit_code == 1


@pytest.mark.supervised
@pytest.mark.parametrize("use", ["map", "equivalence"])
def test_no_command_ends_with_an_explainer(command, tiny_model, use):
    Path("leaves.py").write_text("import os\n\ndef explain(*_):\n    os._exit(0)\n")
    Image.new("RGB", (30, 20)).save("picture.png")
    words = {
        "map": ["-e", "leaves.py:explain", "--image", "picture.png", "--text", "a dog"],
        "equivalence": ["leaves.py:explain", "gradient", "--samples", "2"],
    }
    done = command(use, *words[use], "--model", tiny_model)
    assert done.exit_code == 3
    assert "leaves.py:explain" in done.output
    assert "exit code 0 (os._exit" in done.output
    assert not Path("map.png").exists()


def test_nothing_judged_is_not_green(check_tiny):
    done = check_tiny("edges", select="P104")
    assert done.exit_code == 3
    assert "no check came to a verdict" in done.output


def test_evidence_is_judged_again_without_a_model(check_tiny, command, monkeypatch):
    assert check_tiny("grad-eclip", select="P104,P105").exit_code == 1
    from audit.engine import auditing as engine

    monkeypatch.setattr(engine, "run_audit", None)
    done = command(
        "check", "--from-evidence", "audit-report", "--out", "again", "--select", "P101,P104"
    )
    assert done.exit_code == 1
    first, again = result_of(), result_of("again")
    assert [c.id for c in again.checks] == ["P101", "P104"]
    assert again.checks[1].finding == first.checks[0].finding
    assert again.conditions.settings["explainer"] == "grad-eclip"
    assert again.conditions.settings["select"] == "['P101', 'P104']"


def test_evidence_is_not_judged_under_the_name_of_another_audit(check_tiny, command, monkeypatch):
    """The second audit was interrupted: its evidence lies beside the result of the first."""
    check_tiny("grad-eclip", select="P104")
    first = Path("audit-report", "result.json").read_text()
    from audit.engine import auditing as engine

    with monkeypatch.context() as patch:
        patch.setattr(engine, "timing", interrupted)  # evidence is there, no result
        assert check_tiny("edges", select="P104").exit_code == 130
    gone = command("check", "--from-evidence", "audit-report", "--select", "P104")
    assert gone.exit_code == 2
    assert "expected result.json in 'audit-report' beside the evidence" in gone.output
    Path("audit-report", "result.json").write_text(first)
    done = command("check", "--from-evidence", "audit-report", "--select", "P104")
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "expected the result of this evidence beside it, found that of another audit" in said
    assert "of 'grad-eclip'" in said


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_damaged_evidence_says_so(check_tiny, command):
    check_tiny("grad-eclip", select="P104")
    Path("audit-report", "evidence", "trace.npz").write_bytes(b"")
    done = command("check", "--from-evidence", "audit-report", "--select", "P104")
    assert done.exit_code == 2
    assert "evidence 'trace' in 'audit-report/evidence' cannot be read" in done.output


def test_show_settings_and_schema(command):
    Path("audit.toml").write_text('samples = 5\n[options]\nheads = "model"\n')
    shown = command("check", "-e", "grad-eclip", "--seed", "3", "--show-settings")
    assert shown.exit_code == 0
    settings = json.loads(shown.output)
    assert (settings["samples"], settings["seed"], settings["options"]) == (
        5,
        3,
        {"heads": "model"},
    )
    schema = json.loads(command("check", "--settings-schema").output)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("explainers", ["grad-eclip", "--option heads=released|model (default released)"]),
        ("checks", ["P104  score-preserved", "P201  tracks-ladder"]),
        ("models", ["bundled", "local-dir:FOLDER", "ViT-B-16"]),
        ("datasets", ["bundled", "FOLDER"]),
        ("catalogue", ["| `P104` score-preserved |", "| `grad-eclip` |"]),
    ],
)
def test_lists(command, what, words):
    done = command("list", what)
    assert done.exit_code == 0
    for word in words:
        assert word in done.output


def test_explain(command):
    done = command("explain", "p104")
    assert done.exit_code == 0
    for section in ("What it does:", "Why it matters:", "What a pass does not show:"):
        assert section in done.output
    unknown = command("explain", "P140")
    assert unknown.exit_code == 2
    assert "unknown check or explainer 'P140'" in unknown.output


def test_report_renders_again(check_tiny, command):
    check_tiny("grad-eclip", "--format", "json", select="P104")
    assert not Path("audit-report", "report.html").exists()
    done = command("report", "audit-report/result.json", "--format", "html,markdown")
    assert done.exit_code == 0
    assert Path("audit-report", "report.html").is_file()
    assert Path("audit-report", "summary.md").is_file()
    assert command("report", "none.json").exit_code == 2
    assert command("report").exit_code == 2
    Path("other.json").write_text("{}")
    refused = command("report", "other.json")
    assert refused.exit_code == 2
    assert "schema_version" in refused.output


def test_map(command, tiny_model):
    Image.new("RGB", (40, 30), (200, 20, 20)).save("picture.png")
    words = ["map", "-e", "grad-attention", "--text", "a red thing", "--model", tiny_model]
    done = command(*words, "--image", "picture.png", "--out", "sub/map.png")
    assert done.exit_code == 0, done.output
    assert "cosine" in done.output
    with Image.open("sub/map.png") as written:
        assert written.width > 2 * 448  # picture and map side by side
        assert 336 < written.height < 448  # their aspect is kept, and the color bar is below
    Path("no.png").write_text("no picture")
    refused = command(*words, "--image", "no.png")
    assert refused.exit_code == 2
    assert "'no.png': not a readable picture" in refused.output


def test_map_of_a_text(command, tiny_model):
    Image.new("RGB", (40, 30), (200, 20, 20)).save("picture.png")
    words = ["map", "--text", "a red thing", "--model", tiny_model, "--image", "picture.png"]
    done = command(*words, "-e", "text-game", "--text-map")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert re.search(r"cosine -?\d\.\d+; a [+-]\S+, red [+-]\S+, thing [+-]\S+; synergy", said)
    assert re.search(r"synergy of picture and text -?\d\.\d{4}, area .* of both -?\d\.\d{4}$", said)
    with Image.open("map.png") as written:
        assert written.height > 336
        plain = np.asarray(written.convert("RGB"))[60:360, 460:]
        assert plain.std() < 40  # the picture's map is even: it has no overlay
    plain = command(*words, "-e", "text-game")
    assert "which --text-map shows" in " ".join(plain.output.split())
    refused = command(*words, "-e", "gradient", "--text-map")
    assert refused.exit_code == 2
    assert "explainer 'gradient': expected token_maps" in " ".join(refused.output.split())


def test_map_of_an_explainer_that_raises_is_incomplete(command, tiny_model):
    Image.new("RGB", (40, 30)).save("picture.png")
    Path("own.py").write_text("def explain(model, images, tokens):\n    return 1 / 0\n")
    done = command(
        "map",
        "-e",
        "own.py:explain",
        "--text",
        "x",
        "--model",
        tiny_model,
        "--image",
        "picture.png",
    )
    assert done.exit_code == 3
    assert "ZeroDivisionError: division by zero" in done.output


def test_equivalence(command, tiny_model):
    words = ["--model", tiny_model, "--samples", "4"]
    same = command("equivalence", "grad-eclip", "attention-eclip", *words)
    assert same.exit_code == 0, same.output
    assert "grad-eclip and attention-eclip are equivalent: over 4 pairs" in same.output
    other = command("equivalence", "grad-eclip", "gradient", *words)
    assert other.exit_code == 1
    assert "grad-eclip and gradient differ" in other.output


def test_equivalence_on_pictures_of_ones_own(command, tiny_model):
    Image.new("RGB", (30, 20), "red").save("picture.png")
    Path("manifest.csv").write_text("image,label\npicture.png,cat\npicture.png,dog\n")
    words = ["--model", tiny_model, "--samples", "2", "--data", "manifest.csv"]
    same = command("equivalence", "gradient", "gradient", *words)
    assert same.exit_code == 0, same.output
    assert "over 2 pairs" in same.output


def test_help_imports_nothing_slow():
    code = (
        "import sys\n"
        "from audit.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    code = end.code\n"
        "slow = {'torch', 'numpy', 'scipy', 'open_clip', 'pydantic'} & set(sys.modules)\n"
        "print(code, sorted(slow))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("name", ["check", "plan"])
def test_the_supervisor_stays_small(tiny_model, tmp_path, name):
    words = [name, "-e", "gradient", "--model", tiny_model, "--samples", "2", "--only", "P101"]
    code = (
        "import sys\n"
        "from audit.cli.main import main\n"
        f"try:\n    main({[*words, '--no-history', '--out', str(tmp_path / 'report')]!r})\n"
        "except SystemExit as end:\n    code = end.code\n"
        "slow = {'torch', 'scipy', 'open_clip', 'pandas'} & set(sys.modules)\n"
        "print(code, sorted(slow))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    "words",
    [["check"], ["list"], ["report"], ["map"], ["equivalence"], ["compare"], ["history"], ["init"]],
)
def test_every_command_has_help(command, words):
    done = command(*words, "--help")
    assert done.exit_code == 0
    assert "Usage:" in done.output
