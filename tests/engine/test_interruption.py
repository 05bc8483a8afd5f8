"""What an audit keeps when it is interrupted or the disk is full, and how it goes on."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from audit.errors import ending, is_usage
from audit.evidence import store
from audit.explainers.errors import UnknownExplainerError
from audit.result.document import load_result

SLEEPER = """\
import time


def explain(model, images, tokens):
    time.sleep(0.2)
    return images.mean(1)
"""


def small(model):
    return ["--model", model, "--profile", "quick", "--samples", "4", "--select", "P101,P103"]


# A shell's background jobs ignore control-C, and what they start inherits that.
RUN = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('audit', run_name='__main__', alter_sys=True)"
)


def started(words, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path, process, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists(), process.communicate()


def ended(process, code):
    _, messages = process.communicate(timeout=200)
    assert process.returncode == code, messages
    return messages


def test_control_c_keeps_evidence_and_the_same_command_goes_on(command, tiny_model):
    Path("own.py").write_text(SLEEPER)
    words = ["check", "-e", "own.py:explain", *small(tiny_model)]
    process = started(words)
    kept = Path("audit-report", "evidence", "reference.json")
    wait_for(kept, process)
    process.send_signal(signal.SIGINT)
    messages = ended(process, 130)
    assert "finished evidence is kept in 'audit-report/evidence'" in messages
    assert "Traceback" not in messages
    assert not Path("audit-report", "result.json").exists()
    written = kept.stat().st_mtime_ns
    ended(started(words), 0)
    assert kept.stat().st_mtime_ns == written
    assert load_result(Path("audit-report", "result.json").read_text()).verdict == "pass"
    ended(started(words), 0)  # that of a finished audit is gathered again
    assert kept.stat().st_mtime_ns != written


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_while_gathering(check_tiny, monkeypatch):
    real = store.np.savez_compressed

    def fills_up(file, **arrays):
        real(file, **arrays)
        if Path(file.name).match("explanations.npz.*.part"):
            full_disk()

    monkeypatch.setattr(store.np, "savez_compressed", fills_up)
    done = check_tiny("grad-eclip", select="P104")
    assert done.exit_code == 3
    assert "cannot write evidence 'explanations'" in done.output
    assert "No space left on device" in done.output
    assert "the same command goes on from there" in " ".join(done.output.split())
    assert "Traceback" not in done.output
    names = {path.name for path in Path("audit-report", "evidence").iterdir()}
    assert {"reference.json", "reference.npz", "trace.json", "trace.npz"} <= names
    assert not any("explanations" in name or name.endswith(".part") for name in names)
    written = Path("audit-report", "evidence", "trace.json").stat().st_mtime_ns
    monkeypatch.setattr(store.np, "savez_compressed", real)
    assert check_tiny("grad-eclip", select="P104").exit_code == 1
    assert Path("audit-report", "evidence", "trace.json").stat().st_mtime_ns == written


def test_full_disk_while_reporting(check_tiny, monkeypatch):
    real = Path.write_text

    def fills_up(path, text, **more):
        if path.name == "report.html.part":
            real(path, text[:100], **more)
            full_disk()
        return real(path, text, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", fills_up)
        done = check_tiny("grad-eclip", select="P104")
    assert done.exit_code == 3
    assert "cannot write 'audit-report/report.html': No space left on device" in done.output
    names = {path.name for path in Path("audit-report").iterdir()}
    assert names == {".audit.lock", "evidence", "result.json"}
    again = check_tiny("grad-eclip", select="P104")
    assert again.exit_code == 1
    assert Path("audit-report", "report.html").is_file()


def test_control_c_anywhere_is_never_exit_code_1(command, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("audit.engine.listing.explained", interrupted)
    done = command("explain", "P104")
    assert done.exit_code == 130
    assert "audit: interrupted" in done.output


def test_no_error_ends_with_the_code_of_violations():
    errors = [
        KeyboardInterrupt(),
        ValueError("of others"),
        RuntimeError(),
        PermissionError(errno.EACCES, "denied", "x"),
        OSError(errno.ENOSPC, "full", "x"),
        UnknownExplainerError("no such"),
        MemoryError(),
    ]
    assert [ending(error)[1] for error in errors] == [130, 3, 3, 2, 3, 2, 3]
    assert [is_usage(error) for error in errors] == [True, False, False, True, True, True, False]
    assert "at 'x'; finished evidence stays" in ending(errors[4])[0]
