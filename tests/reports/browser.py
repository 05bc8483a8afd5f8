"""Headless Chromium over its debugging pipe, for tests and measurements of the page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-extensions", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
]
# Chromium reads from descriptor 3 and writes to 4.
LAUNCH = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3]]
os.dup2(pipes[0], 3)
os.dup2(pipes[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
DESKTOP, PHONE = (1440, 1000), (390, 844)


class Browser:
    """Chromium over its debugging pipe: one message is JSON that ends in a zero byte."""

    def __init__(self, profile: Path) -> None:
        self.events: list[dict] = []
        self._last, self._rest = 0, b""
        read_theirs, self._write = os.pipe()
        self._read, write_theirs = os.pipe()
        pipes = [str(read_theirs), str(write_theirs)]
        browser = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *pipes, *browser],
            pass_fds=(read_theirs, write_theirs),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_theirs)
        os.close(write_theirs)
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Performance.enable", timeDomain="threadTicks")

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(10)
        os.close(self._write)
        os.close(self._read)

    def send(self, method: str, **params: object) -> dict:
        """Call a method and wait for its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda one: one.get("id") == self._last)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, page: Path, size: tuple[int, int] = DESKTOP, fragment: str = "") -> None:
        """Open a file and wait until it has loaded."""
        self.events.clear()
        width, height = size
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=size == PHONE,
        )
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=page.as_uri() + fragment)
        deadline = time.monotonic() + 30
        while self.ask("location.protocol + document.readyState") != "file:complete":
            assert time.monotonic() < deadline, "the page did not load within 30 s"
            time.sleep(0.02)

    def ask(self, script: str) -> object:
        """The value of an expression on the page."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key; Tab and Enter are known."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r")}[key]
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        down = "keyDown" if text else "rawKeyDown"
        self.send("Input.dispatchKeyEvent", type=down, text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def cpu(self) -> float:
        """Milliseconds of processor time that the main thread has used since the page opened."""
        metrics = self.send("Performance.getMetrics")["metrics"]
        return 1000 * next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    def cpu_of(self, act: str) -> float:
        """The same for an act on the page, up to the next frame."""
        frame = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
        before = self.cpu()
        self.ask(f"(async () => {{ {act}; await {frame}; }})()")
        return self.cpu() - before

    def complaints(self) -> list[str]:
        """Console errors, exceptions and blocked resources since the page was opened."""
        self.ask("1")
        bad = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}
        return [json.dumps(one) for one in self.events if one.get("method") in bad]

    def requests(self) -> list[str]:
        """What the page asked for, besides itself."""
        self.ask("1")
        urls = [
            one["params"]["request"]["url"]
            for one in self.events
            if one.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith(("data:", "file:", "about:"))]

    def _until(self, wanted: Callable[[dict], bool]) -> dict:
        deadline = time.monotonic() + 30
        for one in self.events:
            if wanted(one):
                return one
        while time.monotonic() < deadline:
            while b"\0" not in self._rest:
                chunk = os.read(self._read, 1 << 20)
                assert chunk, "Chromium ended"
                self._rest += chunk
            raw, self._rest = self._rest.split(b"\0", 1)
            message = json.loads(raw)
            if "id" not in message:
                self.events.append(message)
            if wanted(message):
                return message
        raise TimeoutError("Chromium did not answer within 30 s")
