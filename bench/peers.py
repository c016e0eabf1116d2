"""nginx and HAProxy that refuse by the user agent, in front of the same upstream: what refusing costs those who do little else.

They have the rules that the range gives them (`tools/range/peers/config`): limits by address, and the names of ai.robots.txt, to
which the bench's script is added. nginx writes its access log, as ours writes the records of what it refuses.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from proxyguard.tools.range.peers.fronts import CONFIG, DEBIAN_FOLDERS, filled
from tests.ports import free_port

SCRIPT_NAME: Final = "python-requests"

_DENIES: Final = """  acl robot hdr_sub(user-agent) -i -f {folder}/robots.txt
  http-request deny deny_status 403 if robot
"""

Command = list[str | Path]


def refusing(name: str, folder: Path, upstream: str) -> tuple[Command, int] | None:
    """The command that starts `nginx` or `haproxy`, and its port; None where it is not installed."""
    program = shutil.which(name) or shutil.which(name, path=DEBIAN_FOLDERS)
    if program is None:
        return None
    own, port = folder / f"refusing-{name}", free_port()
    own.mkdir()
    values = {"folder": str(own), "port": str(port), "site": upstream.rpartition(":")[2]}
    return (_nginx if name == "nginx" else _haproxy)(program, own, values), port


def _nginx(program: str, folder: Path, values: dict[str, str]) -> Command:
    text = filled((CONFIG / "nginx.conf").read_text(), values)
    text = text.replace("access_log off;", f"access_log {folder}/access.log combined buffer=64k; keepalive_requests 1000000;")
    (folder / "nginx.conf").write_text(text)
    robots = (CONFIG / "ai-robots.map").read_text()
    (folder / "ai-robots.map").write_text(f'{robots}\n"~*{SCRIPT_NAME}" 1;\n')
    return [program, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]


def _haproxy(program: str, folder: Path, values: dict[str, str]) -> Command:
    text = filled((CONFIG / "haproxy.cfg").read_text(), values)
    before, mark, after = text.partition("  http-request track-sc0")
    (folder / "haproxy.cfg").write_text(before + _DENIES.format(folder=folder) + mark + after)
    names = [re.sub(r"\\(.)", r"\1", each) for each in re.findall(r'"~\*(.+?)"', (CONFIG / "ai-robots.map").read_text())]
    (folder / "robots.txt").write_text("\n".join([*names, SCRIPT_NAME]) + "\n")
    return [program, "-f", folder / "haproxy.cfg"]
