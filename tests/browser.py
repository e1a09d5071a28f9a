"""A headless Chromium that opens a file and tells what a reader would see (by DevTools, over a pipe)."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

FOUND = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
LOOK = """(() => {
  const wide = [...document.querySelectorAll("body *")].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !e.closest(".scroll");
  });
  return {
    sideways: document.documentElement.scrollWidth > innerWidth,
    wide: wide.map((e) => e.tagName + "." + e.className + ": " + e.textContent.slice(0, 60)),
    pictures: [...document.querySelectorAll("figure svg")].map((e) => {
      const box = e.getBoundingClientRect();
      return [box.width, box.height, e.querySelectorAll("path").length, e.getAttribute("aria-label")];
    }),
    missing: [...document.images].filter((e) => !e.naturalWidth).length,
    background: getComputedStyle(document.body).backgroundColor,
    accent: getComputedStyle(document.querySelector(".s-accent") || document.body).stroke,
  };
})()"""


class Browser:
    """Chromium behind two pipes; messages are JSON that ends in a zero byte."""

    def __init__(self, say: int, hear: int):
        self._say, self._hear, self._rest, self._count = say, hear, b"", 0
        self.errors: list[str] = []

    def call(self, method: str, session: str | None = None, **parameters) -> dict:
        """The result of a command; what the page tells meanwhile is kept in `errors`."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self._say, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._count:
                assert "error" not in told, told
                return told["result"]
            _note(told, self.errors)

    def _next(self) -> dict:
        deadline = time.monotonic() + 60
        while b"\0" not in self._rest:
            assert select.select([self._hear], [], [], deadline - time.monotonic())[0], "is silent"
            read = os.read(self._hear, 1 << 20)
            assert read, "Chromium has ended"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextmanager
def chromium():
    """A browser without pages."""
    to_it, say = os.pipe()
    hear, from_it = os.pipe()

    def pipes() -> None:  # Chromium reads from 3 and writes to 4
        copies = os.dup(to_it), os.dup(from_it)
        os.dup2(copies[0], 3)
        os.dup2(copies[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        words += [f"--user-data-dir={profile}", "--no-first-run", "about:blank"]
        process = subprocess.Popen(
            [FOUND, *words], stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=pipes
        )
        for end in (to_it, from_it):
            os.close(end)
        try:
            yield Browser(say, hear)
        finally:
            process.terminate()
            process.wait()
            for end in (say, hear):
                os.close(end)


def seen(
    browser: Browser,
    file: Path,
    width: int,
    dark: bool = False,
    run: str = "",
    media: str = "screen",
    shot: Path | None = None,
) -> dict:
    """What the page looks like at a width in pixels, on the screen or in print.

    Sizes, and under `errors` all that went wrong.

    `run` is script to run first; its value is under `ran`. `shot`: where a picture of the page is put.
    """
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    browser.errors.clear()

    def call(method: str, **parameters) -> dict:
        return browser.call(method, session, **parameters)

    def value(script: str):
        result = call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    for domain in ("Page", "Runtime", "Log", "Network"):
        call(f"{domain}.enable")
    sizes = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    call("Emulation.setDeviceMetricsOverride", **sizes)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    call("Emulation.setEmulatedMedia", media=media, features=scheme)
    url = file.resolve().as_uri()
    call("Page.navigate", url=url)
    while value(f"location.href === {json.dumps(url)} && document.readyState") != "complete":
        time.sleep(0.05)
    ran = value(run) if run else None
    found = value(LOOK)
    if shot:
        height = call("Page.getLayoutMetrics")["cssContentSize"]["height"]
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        picture = call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        shot.write_bytes(base64.b64decode(picture["data"]))
    browser.call("Target.closeTarget", targetId=target)
    return found | {"errors": list(browser.errors), "ran": ran}


def _note(message: dict, errors: list[str]) -> None:
    """Keep what a page complains about, and whatever it loads beside itself."""
    method, told = message.get("method"), message.get("params", {})
    if method == "Runtime.exceptionThrown":
        errors.append(str(told["exceptionDetails"]))
    elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
        errors.append(told["entry"]["text"])
    elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
        errors.append(str(told["args"]))
    elif method == "Network.requestWillBeSent":
        url = told["request"]["url"]
        if told["type"] != "Document":
            errors.append(f"loads {url}")
