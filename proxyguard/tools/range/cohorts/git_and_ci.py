"""git, package managers and build machines, from cloud networks."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import program
from proxyguard.tools.range.draw import OFFICE_HOURS, spread
from proxyguard.tools.range.networks import hosting, residential
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 250

GIT: Final = program(
    b"git/2.51.0", "curl", (b"User-Agent", b"git/2.51.0"), (b"Accept", b"*/*"), (b"Accept-Encoding", b"deflate, gzip, br, zstd"),
    (b"Pragma", b"no-cache"), (b"Git-Protocol", b"version=2"),
)  # fmt: skip
PULLS: Final = (
    (b'pip/25.3 {"ci":true,"cpu":"x86_64","implementation":{"name":"CPython","version":"3.13.9"}}', "python", b"/simple/tool/"),
    (b"npm/11.6.1 node/v24.9.0 linux x64 workspaces/false ci/github-actions", "node", b"/api/posts/17"),
    (b"cargo/1.91.0 (ea2d97820 2025-10-10)", "curl", b"/api/posts/18"),
    (b"Debian APT-HTTP/1.3 (3.0.3)", "gnutls", b"/assets/100.png"),
    (b"docker/28.5.1 go/go1.24.8 git-commit/f8215cc kernel/6.11.0 os/linux arch/amd64", "go", b"/api/posts/19"),
    (b"Go-http-client/1.1", "go", b"/simple/tool/?go-get=1"),
)  # fmt: skip


def _session(random: Random) -> Session:
    if random.random() < 0.6:
        visitor = Visitor(
            hosting(random, "curl") if random.random() < 0.7 else residential(random, "curl"), GIT, keeps_cookies=False
        )
        yield from visitor.get(0.0, b"/ada/tool.git/info/refs?service=git-upload-pack")
        yield from visitor.get(0.2, b"/ada/tool.git/git-upload-pack", method=b"POST", body=b"0014command=ls-refs\n0000")
        yield from visitor.get(0.4, b"/ada/tool.git/git-upload-pack", method=b"POST", body=b"0011command=fetch0000")
        return
    agent, speaks, target = random.choice(PULLS)
    visitor = Visitor(
        hosting(random, speaks), program(agent, speaks, (b"User-Agent", agent), (b"Accept", b"*/*")), keeps_cookies=False
    )
    for number in range(random.randint(1, 8)):
        yield from visitor.get(0.3 if number else 0.0, target)


GIT_AND_CI: Final = Cohort(
    name="git-and-ci", kind=CohortKind.LEGITIMATE, arrivals=spread(SESSIONS, OFFICE_HOURS, _session),
    about="git clients, package managers and build machines from cloud networks",
    source="user agents and exchanges of git 2.51, pip, npm, cargo, apt, docker, go: read from the programs",
)  # fmt: skip
