"""A headless Chromium that tests drive over its debugging pipe: one page, no network, no library in between."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chromium-headless-shell")
#: Switches that keep it from talking to anybody.
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def find() -> str | None:
    """The path of a Chromium, from ``FINGERPRINT_CHROMIUM`` or under one of its usual names."""
    return os.environ.get("FINGERPRINT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of one Chromium. Commands are those of the DevTools protocol; answers arrive in order."""

    def __init__(self, program: str) -> None:
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        told, self._write = os.pipe()
        self._read, tell = os.pipe()
        # The protocol is spoken over the descriptors 3 and 4 of the child: a shell puts the pipes there. By their
        # paths, since not every shell knows descriptors of two digits.
        script = f'exec "$0" "$@" 3</dev/fd/{told} 4>/dev/fd/{tell}'
        command = ["sh", "-c", script, program, *QUIET, "--remote-debugging-pipe", f"--user-data-dir={self._home.name}"]
        environment = {**os.environ, "HOME": self._home.name}
        self._process = subprocess.Popen(
            [*command, "about:blank"],
            pass_fds=(told, tell),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        os.close(told)
        os.close(tell)
        self._rest = b""
        self._count = 0
        self.asked: list[str] = []
        self.faults: list[str] = []
        self._session = ""
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for name in ("Page", "Runtime", "Network", "Log"):
            self.do(f"{name}.enable")
        self.do("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)

    def close(self) -> None:
        """End the browser and forget its profile."""
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer; events on the way are looked at and dropped."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._read, 1 << 16)
            if not piece:
                raise RuntimeError("Chromium has ended.")
            self._rest += piece
        line, self._rest = self._rest.split(b"\0", 1)
        found: dict[str, Any] = json.loads(line)
        self._notice(found)
        return found

    def _notice(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif event.get("method") == "Log.entryAdded":
            self.faults.append(params["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(params["exceptionDetails"]))

    def open(self, file: Path, *, width: int = 1200, dark: bool = False) -> None:
        """Show a file at a width, in one of the two colour schemes, and wait until it is laid out."""
        self.asked.clear()
        self.faults.clear()
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.do("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.do("Page.navigate", url=file.resolve().as_uri())
        self.run("new Promise(done => document.readyState === 'complete' ? done(1) : addEventListener('load', done))")
        self.run("document.fonts.ready.then(() => 1)")

    def run(self, expression: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        answer = self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def picture(self, *, whole: bool = True) -> bytes:
        """The page as PNG."""
        size = self.do("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"] if whole else 900, "scale": 1}
        data = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole, clip=clip)
        return base64.b64decode(data["data"])

    def paper(self) -> bytes:
        """The page as PDF, in the size that its own print rules ask for."""
        self.do("Emulation.setEmulatedMedia", media="", features=[])
        data = self.do("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(data["data"])
