"""Names of others in a terminal: what would act on it is spelled out by every command."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from audit.result.document import render_json
from audit.result.finding import Verdict

ROOT = Path(__file__).parents[2]

HOSTILE = "a\x1b[31m\u202e\x07b\n::error::injected\r\x9b2J"


def harmless(text):
    return not set(text) & set("\x1b\x07\x9b\u202e\r") and not any(
        line.lstrip().startswith("::") for line in text.splitlines()
    )


def test_names_of_a_manifest(command, tiny_model):
    Path("manifest.csv").write_text(f'image,label\n"{HOSTILE}",cat\n', newline="")
    done = command("check", "-e", "gradient", "--model", tiny_model, "--data", "manifest.csv")
    assert done.exit_code == 2, done.output
    assert harmless(done.output), done.output
    assert "⟨U+001B⟩[31m" in done.output
    assert "| ::error" in done.output


@pytest.mark.parametrize(
    "words",
    [
        ["check", "-e", f"{HOSTILE}.py:explain"],
        ["check", "-e", "gradient", "--model", HOSTILE],
        ["check", "-e", "gradient", "--model", f"local-dir:{HOSTILE}"],
        ["check", "-e", "gradient", "--data", HOSTILE],
        ["explain", HOSTILE],
        ["map", "-e", "gradient", "--text", "x", "--image", f"{HOSTILE}.png"],
    ],
)
def test_words_that_came_from_elsewhere(command, words):
    Image.new("RGB", (8, 8)).save("ok.png")
    Path(f"{HOSTILE}.png".replace("/", "")).write_text("no picture")
    done = command(*words)
    assert harmless(done.output), done.output
    assert "⟨U+001B⟩" in done.output


def test_what_an_explainer_raises(check_tiny):
    Path("own.py").write_text(
        f"def explain(model, images, tokens):\n    raise ValueError({HOSTILE!r})\n"
    )
    done = check_tiny("own.py:explain")
    assert done.exit_code == 3, done.output
    assert harmless(done.output), done.output


def test_compare_and_history(command, make_result):
    hostile = make_result(text=HOSTILE)
    named = hostile.explainer.model_copy(update={"name": HOSTILE})
    hostile = hostile.model_copy(update={"explainer": named})
    Path("old.json").write_text(render_json(make_result()), encoding="utf-8")
    Path("new.json").write_text(render_json(hostile), encoding="utf-8")

    def run(*words):
        done = command(*words)
        assert done.output
        assert harmless(done.output), done.output
        return done.output

    for words in (
        ["compare", "old.json", "new.json"],
        ["compare", "new.json", "old.json"],
        ["history", "--add", "new.json"],
        ["history"],
        ["history", "-e", HOSTILE],
        ["report", "--latest", "-e", HOSTILE],
    ):
        run(*words)
    assert "⟨U+001B⟩[31m" in run("history")
    assert "⟨U+001B⟩[31m" in run("compare", "old.json", "new.json")


@pytest.mark.parametrize(
    ("words", "code", "full"),
    [
        (("compare", "good.json", "bad.json"), 1, 1),
        (("compare", "good.json", "good.json"), 0, 0),
        (("list", "explainers"), 0, 3),  # its output is all there is
    ],
)
def test_standard_output_that_takes_nothing(tmp_path, make_result, words, code, full):
    good, bad = make_result(), make_result()
    checks = [
        c.model_copy(update={"finding": c.finding.model_copy(update={"verdict": Verdict.PASS})})
        for c in good.checks
    ]
    good = good.model_copy(update={"checks": checks})
    (tmp_path / "good.json").write_text(render_json(good))
    (tmp_path / "bad.json").write_text(render_json(bad))

    def ended(redirection):
        command = f"{shlex.join([sys.executable, '-P', '-m', 'audit', *words])} {redirection}"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    assert ended("> /dev/null") == (code, "")
    assert ended(">&-") == (code, "")
    status, said = ended("> /dev/full")
    assert (status, said) == (
        full,
        "audit: cannot write to standard output: No space left on device\n",
    )
    assert ended("> /dev/full 2> /dev/full")[0] == full
    assert ended("| true; exit ${PIPESTATUS[0]}") == (code, "")


@pytest.mark.parametrize("words", [["--\x1b[31mred"], ["\x1b[31mred"], ["check", "--\x1b[31mred"]])
def test_words_that_are_no_command(command, words):
    done = command(*words)
    assert done.exit_code == 2
    assert "\x1b" not in done.output
    assert "audit: No such" in done.output


def test_no_words_show_the_help_and_are_no_success(command):
    done = command()
    assert done.exit_code == 2
    assert "Audit an explainer" in done.output
