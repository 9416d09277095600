"""A headless Chromium, driven over a pipe by the protocol of its developer tools."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Browser", "find", "opened"]

_FLAGS = [
    *("--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
]
_SECONDS = 60


def find() -> str | None:
    """The program, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One page.

    Attributes:
        requests: Every address that it asked for.
        errors: Uncaught errors, and what was written to the console as one.
    """

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes, self._rest, self._count = reads, writes, b"", 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = next(one for one in self._send("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self._send("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.send(f"{domain}.enable")

    def _send(self, method: str, session: str | None = None, **given: Any) -> Any:
        self._count += 1
        number = self._count
        asked = {"id": number, "method": method, "params": given} | ({"sessionId": session} if session else {})
        os.write(self._writes, json.dumps(asked).encode() + b"\0")
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            told = self._next(end - time.monotonic())
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]
        raise TimeoutError(method)

    def _next(self, seconds: float) -> dict[str, Any]:
        """The next message; what a page asks for and what fails in it is noted."""
        while b"\0" not in self._rest:
            if not select.select([self._reads], [], [], seconds)[0] or not (more := os.read(self._reads, 2**20)):
                raise TimeoutError("Chromium does not answer")
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(text)
        given = told.get("params", {})
        if told.get("method") == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif told.get("method") == "Runtime.exceptionThrown" or given.get("type") == "error":
            self.errors.append(json.dumps(given))
        return told

    def send(self, method: str, **given: Any) -> Any:
        """Ask the page's own session."""
        return self._send(method, self._session, **given)

    def go(self, address: str, width: int, height: int = 900) -> None:
        """Open an address in a window of this size; narrow ones are phones."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Page.navigate", url=address)

    def run(self, code: str) -> Any:
        """The value of an expression, or of its promise, in the page."""
        found = self.send("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, code: str) -> Any:
        """The value of an expression, once it is true."""
        end = time.monotonic() + _SECONDS
        while not (value := self.run(f"(() => {{ try {{ return {code} }} catch {{ return null }} }})()")):
            assert time.monotonic() < end, (code, self.errors)
            time.sleep(0.05)
        return value

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        self.send("Input.dispatchKeyEvent", type="keyUp", **named)

    def photograph(self, to: Path) -> None:
        """Write a picture of the page."""
        to.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"]))


@contextlib.contextmanager
def opened(program: str, folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    theirs_reads, writes = os.pipe()
    reads, theirs_writes = os.pipe()
    flags = [*_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    shell = f'exec "$0" "$@" 3<&{theirs_reads} 4>&{theirs_writes}'  # the descriptors that it reads and writes
    process = subprocess.Popen(
        ["/bin/bash", "-c", shell, program, *flags], stderr=subprocess.DEVNULL, pass_fds=(theirs_reads, theirs_writes)
    )
    os.close(theirs_reads)
    os.close(theirs_writes)
    try:
        yield Browser(reads, writes)
    finally:
        process.kill()
        process.wait()
        os.close(reads)
        os.close(writes)
