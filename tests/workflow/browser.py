"""A headless Chromium over its DevTools protocol: what a page does, what it asks for, and how it looks."""

import asyncio
import base64
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"
_STARTS, _ANSWERS = 60, 60  # seconds that Chromium may take to start, and to answer


def chromium() -> str | None:
    """The Chromium of this machine, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab. `problems` has errors and warnings of the console and uncaught exceptions, `requests` every address that was asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self._socket, self._numbers, self._waiting = socket, itertools.count(1), {}
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._loaded = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            if (waiting := self._waiting.pop(said.get("id"), None)) and not waiting.done():
                waiting.set_result(said)
            self._note(said.get("method"), said.get("params", {}))

    def _note(self, event: str | None, about: dict) -> None:
        if event == "Page.loadEventFired":
            self._loaded.set()
        elif event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.problems.append(str(about["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" or event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.problems.append(str(about))
        elif event == "Page.javascriptDialogOpening":
            self.problems.append(f"dialog: {about['message']}")

    async def call(self, method: str, **parameters) -> dict:
        """The answer to one command; raises RuntimeError with what Chromium says is wrong."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        said = await asyncio.wait_for(self._waiting[number], _ANSWERS)
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")
        return said["result"]

    async def open(self, address: str, *, width: int = 1280, height: int = 900) -> None:
        """Load an address at a width, as a phone below 600 pixels."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        await self.call("Emulation.setScrollbarsHidden", hidden=True)  # a picture of the whole page has none, so nothing may move for them
        self._loaded.clear()
        await self.call("Page.navigate", url=address)
        await asyncio.wait_for(self._loaded.wait(), _ANSWERS)

    async def run(self, script: str):
        """The value of an expression in the page; raises RuntimeError where it throws."""
        said = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in said:
            raise RuntimeError(str(said["exceptionDetails"]))
        return said["result"].get("value")

    async def choose(self, name: str, value: str) -> None:
        """Set a control of the explorer as a reader does: its value changes, and the page is told."""
        control = f"document.getElementById('filters').elements[{name!r}]"
        await self.run(f"{control}.value = {value!r}; {control}.dispatchEvent(new Event('input', {{bubbles: true}}))")

    async def picture(self, path: Path) -> None:
        """The whole page as PNG, from its top to its end."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = dict(x=0, y=0, width=size["width"], height=size["height"], scale=1)
        shot = await self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    async def paper(self, path: Path) -> None:
        """The page as PDF, as the browser prints it."""
        path.write_bytes(base64.b64decode((await self.call("Page.printToPDF", preferCSSPageSize=True))["data"]))


@contextlib.asynccontextmanager
async def tab(folder: Path) -> AsyncIterator[Page]:
    """A new tab of a Chromium of its own, with a new profile below `folder`; both are gone afterwards."""
    profile = Path(tempfile.mkdtemp(dir=folder))
    command = [chromium(), *_FLAGS.split(), f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
    try:
        port = await asyncio.wait_for(_port(profile / "DevToolsActivePort"), _STARTS)
        async with aiohttp.ClientSession() as session:
            async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                address = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        shutil.rmtree(profile, ignore_errors=True)  # helpers of Chromium may still write to it for a moment


async def _port(file: Path) -> str:
    """The port that Chromium listens on, once it has written it down."""
    while not (file.is_file() and (lines := file.read_text().split())):
        await asyncio.sleep(0.05)
    return lines[0]
