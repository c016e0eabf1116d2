"""Pages in a headless Firefox, over Marionette: `firefox.py "URL..." FOLDER [PREFERENCE=JSON]...`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SECONDS = 30.0

QUIET = {
    "app.update.enabled": False, "browser.shell.checkDefaultBrowser": False, "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False, "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "toolkit.telemetry.enabled": False,
    "network.proxy.allow_hijacking_localhost": True,
}  # fmt: skip


def main() -> None:
    urls, folder, *pairs = sys.argv[1:]
    profile = Path(folder) / "firefox"
    profile.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    wanted: dict[str, Any] = {name: json.loads(value) for name, _, value in (pair.partition("=") for pair in pairs)}
    lines = [
        f"user_pref({json.dumps(name)}, {json.dumps(value)});"
        for name, value in (QUIET | wanted | {"marionette.port": port}).items()
    ]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    command = ("firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", str(profile))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connected(port) as stream:
            read(stream)  # its greeting
            say(stream, 1, "WebDriver:NewSession", {"acceptInsecureCerts": True})
            for number, url in enumerate(urls.split(), 2):
                say(stream, number, "WebDriver:Navigate", {"url": url})
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def connected(port: int) -> socket.socket:
    until = time.monotonic() + SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), SECONDS)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def say(stream: socket.socket, number: int, command: str, parameters: dict[str, Any]) -> None:
    text = json.dumps([0, number, command, parameters])
    stream.sendall(f"{len(text)}:{text}".encode())
    _, _, error, _ = read(stream)
    if error:
        sys.exit(f"{command}: {error}")


def read(stream: socket.socket) -> Any:
    size = b""
    while not size.endswith(b":"):
        size += take(stream, 1)
    return json.loads(take(stream, int(size[:-1])))


def take(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            sys.exit("Firefox went away")
        data += more
    return data


main()
