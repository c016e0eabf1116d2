"""Headless Chromium, driven over its DevTools protocol (a WebSocket with JSON): open a page, look into it, click.

Knows nothing of what is tested.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.end_to_end.processes import Running

FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--ignore-certificate-errors",
    "--remote-debugging-port=0", "--remote-debugging-address=127.0.0.1",
)  # fmt: skip
"""Without sandbox, for tests run as root; without background traffic, for there is nowhere to go."""

PAGE_SECONDS: Final = 30.0


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.responses: list[dict[str, Any]] = []
        """Every response of the tab since the last `open`: url, status, protocol, mimeType."""
        self.complaints: list[str] = []
        """What the browser complained of: uncaught errors, errors in the console, what a policy refused."""
        self._reader = asyncio.ensure_future(self._read())

    async def open(self, url: str) -> None:
        """Go to a page and wait for its load event."""
        self.responses.clear()
        await self._loading(self._call("Page.navigate", url=url))

    async def submit(self, form: str, **fields: str) -> None:
        """Fill in a form and send it as a click on its button does; waits for the page that follows."""
        fill = "".join(f"f.elements[{name!r}].value = {value!r};" for name, value in fields.items())
        script = f"(() => {{ const f = document.querySelector({form!r}); {fill} f.querySelector('button').click(); }})()"
        await self._loading(self.look(script))

    async def look(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, wanted: Any) -> None:
        """Look again until the expression has a value."""
        async with asyncio.timeout(PAGE_SECONDS):
            while await self.look(expression) != wanted:  # noqa: ASYNC110 - a page says nothing by itself
                await asyncio.sleep(0.05)

    async def show_as(self, *, width: int, height: int, dark: bool = False, scale: float = 1.0) -> None:
        """Be a screen of this size, light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        await self._call("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self._call("Emulation.setEmulatedMedia", features=features)

    async def picture(self) -> bytes:
        """What the screen shows, as PNG."""
        return base64.b64decode((await self._call("Page.captureScreenshot", format="png"))["data"])

    async def press(self, key: str, code: int) -> None:
        """Press a key and let it go; `code` is its virtual key code."""
        for kind in ("rawKeyDown", "keyUp"):
            await self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    async def be_no_robot(self) -> None:
        """Say of itself what it says with a window. On a page of https only."""
        name = (await self.look("navigator.userAgent")).replace("HeadlessChrome", "Chrome")
        brands = await self.look("navigator.userAgentData.brands.map(b => ({brand: b.brand, version: b.version}))")
        for each in brands:
            each["brand"] = each["brand"].replace("HeadlessChrome", "Google Chrome")
        about = {
            "brands": brands,
            "mobile": False,
            "platform": "Linux",
            "platformVersion": "",
            "architecture": "x86",
            "model": "",
        }
        await self._call("Network.setUserAgentOverride", userAgent=name, userAgentMetadata=about)

    async def cookies(self) -> list[dict[str, Any]]:
        """The cookies that the browser keeps."""
        found: list[dict[str, Any]] = (await self._call("Network.getAllCookies"))["cookies"]
        return found

    async def prepare(self) -> None:
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self._call(f"{domain}.enable")

    async def close(self) -> None:
        self._reader.cancel()
        await self._socket.close()

    async def _loading(self, step: Any) -> None:
        self._loaded.clear()
        async with asyncio.timeout(PAGE_SECONDS):
            await step
            await self._loaded.wait()

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(PAGE_SECONDS):
            result: dict[str, Any] = await answer
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                self._answers.pop(event["id"]).set_result(event.get("result", {}))
            elif event["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif event["method"] == "Network.responseReceived":
                self.responses.append(event["params"]["response"])
            elif event["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(event["params"]["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(str(event["params"]["entry"]))
            elif event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in {"error", "warning"}:
                self.complaints.append(str(event["params"]["args"]))


@contextlib.asynccontextmanager
async def chromium(folder: Path, *more_flags: str) -> AsyncIterator[Page]:
    """Start Chromium with an empty profile and open one tab."""
    profile = folder / "profile"
    program = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    running = Running.start([program, *FLAGS, *more_flags, f"--user-data-dir={profile}", "about:blank"], folder / "chromium.log")
    try:
        port_file = profile / "DevToolsActivePort"
        running.wait_for(lambda: port_file.exists() and "\n" in port_file.read_text(), "Chromium's DevTools port")
        port = port_file.read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                tab = next(entry for entry in await response.json() if entry["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                await page.prepare()
                yield page
                await page.close()
    finally:
        running.end()
