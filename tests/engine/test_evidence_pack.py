"""An evidence pack: whole and as judged it is verified, anything else is told."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from audit.config.settings import Settings
from audit.engine.auditing import run_audit
from audit.engine.evidence_pack import SUMS, digest, sums_text
from audit.engine.progress import silent
from audit.result.document import render_json


@pytest.fixture(scope="module")
def audited(tiny_model, tmp_path_factory):
    """The folder of an audit with violations and a threshold of its own."""
    out = tmp_path_factory.mktemp("audited")
    settings = Settings(
        explainer="grad-eclip",
        model=tiny_model,
        samples=4,
        profile="quick",
        select=("P101", "P104", "P105", "P206"),
        thresholds={"P206": {"clear": 0.05}},
        out=str(out),
    )
    result = run_audit(settings, silent).result
    (out / "result.json").write_text(render_json(result), encoding="utf-8")
    return out


@pytest.fixture
def packed(audited, command):
    """Its pack."""
    done = command("pack", audited, "--out", "pack.zip")
    assert done.exit_code == 0, done.output
    return Path("pack.zip")


def unpacked(pack):
    shutil.rmtree("there", ignore_errors=True)
    with zipfile.ZipFile(pack) as files:
        files.extractall("there")
    return Path("there")


def listed_again(folder):
    """Checksums of what is there now, as whoever alters a pack would write them."""
    files = [f for f in folder.rglob("*") if f.is_file() and f.name != SUMS]
    sums = {f.relative_to(folder).as_posix(): digest(f.read_bytes()) for f in files}
    (folder / SUMS).write_text(sums_text(sums))


def recorded(pack):
    """The result in a pack, as a table."""
    return json.loads(zipfile.ZipFile(pack).read("result.json"))


def packed_anew(pack, document):
    """The folder of a pack with another result, and checksums of it."""
    folder = unpacked(pack)
    (folder / "result.json").write_text(json.dumps(document))
    listed_again(folder)
    return folder


def test_a_pack_is_verified_without_the_model(packed, command, monkeypatch):
    monkeypatch.setattr("audit.engine.context_building.load_model", None)
    done = command("verify", packed)
    assert done.exit_code == 0, done.output
    assert "4 checks judged again from the evidence: all as recorded" in done.output
    assert "grad_eclip.py is the source that was audited" in done.output
    assert done.output.splitlines()[-1] == "verified"
    assert command("verify", unpacked(packed)).exit_code == 0
    names = zipfile.ZipFile(packed).namelist()
    assert {"result.json", "report.html", "SHA256SUMS", "source/grad_eclip.py"} <= set(names)
    assert "evidence/trace.npz" in names
    assert not any("sources.json" in name for name in names)  # paths of this machine


def test_the_same_audit_gives_the_same_pack(audited, packed, command):
    before = packed.read_bytes()
    command("pack", audited, "--out", "again.zip")
    assert Path("again.zip").read_bytes() == before


@pytest.mark.parametrize("name", ["evidence/trace.json", "report.html", "source/grad_eclip.py"])
def test_a_file_that_was_changed_is_named(packed, command, name):
    file = unpacked(packed) / name
    file.write_bytes(file.read_bytes() + b" ")
    done = command("verify", "there")
    assert done.exit_code == 1
    assert f"! '{name}' is not what was packed" in done.output


def test_files_that_are_missing_or_new_are_named(packed, command):
    folder = unpacked(packed)
    (folder / "report.html").unlink()
    (folder / "more.txt").write_text("")
    done = command("verify", folder)
    assert done.exit_code == 1
    assert "! 'report.html' is missing" in done.output
    assert "! 'more.txt' is not listed" in done.output


def test_a_verdict_that_the_evidence_does_not_give_is_told(packed, command):
    """Whoever writes the checksums anew cannot write a verdict that its evidence contradicts."""
    document = recorded(packed)
    p104 = next(check for check in document["checks"] if check["id"] == "P104")
    p104["finding"]["verdict"] = "pass"
    done = command("verify", packed_anew(packed, document))
    assert done.exit_code == 1
    assert "! P104 score-preserved: pass is recorded, the evidence gives violation" in done.output


def test_an_exit_code_that_the_checks_do_not_give_is_told(packed, command):
    document = recorded(packed) | {"verdict": "pass", "exit_code": 0}
    done = command("verify", packed_anew(packed, document))
    assert done.exit_code == 1
    assert "! verdict pass, exit code 0 are recorded; the checks give violation, 1" in done.output


def test_other_source_than_was_audited_is_told(packed, command):
    folder = unpacked(packed)
    (folder / "source" / "grad_eclip.py").write_text("def explain(): ...\n")
    listed_again(folder)
    done = command("verify", folder)
    assert done.exit_code == 1
    assert "! grad_eclip.py is not the source that was audited" in done.output


def test_what_is_no_pack_is_wrong_usage(command):
    Path("no.zip").write_text("no")
    assert command("verify", "no.zip").exit_code == 2
    with zipfile.ZipFile("empty.zip", "w"):
        pass
    done = command("verify", "empty.zip")
    assert done.exit_code == 2
    assert "expected SHA256SUMS and result.json" in done.output
    done = command("pack", "nowhere")
    assert done.exit_code == 2
    assert "expected the folder of a finished audit" in done.output
