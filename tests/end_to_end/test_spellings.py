"""What real servers take for the same page or number, against what rules see: with the server's preset no spelling slips past.

Every spelling is sent to the server alone, which shows which of them reach the handler, and through proxyguard, where none may.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.end_to_end.processes import RULES, Proxyguard, proxyguard
from tests.end_to_end.spelling_servers import SERVERS, running

GUARD: Final = """\
name: {name}
rules:
  - name: {name}-page
    why: The page is closed.
    when: {{{field}: [{pages}]}}
    action: {{reject: {{message: closed}}}}
  - name: {name}-deep
    why: Nobody reads that far.
    when: {{query.page: {{at_least: 100}}}}
    action: {{reject: {{message: closed}}}}
"""


def target_spellings(page: str) -> list[str]:
    """Ways to write the path of a page that some server may take for it."""
    folder, _, name = page.rpartition("/")
    stem = page.removesuffix(".php").removesuffix(".html").removesuffix(".jsp")
    first, rest = page[1], page[2:]
    escaped = f"%{ord(first):02x}"
    return [
        page, page.upper(), page.title(), page.swapcase(), f"/{first.upper()}{rest}", f"/{first}{rest.upper()}",
        page + "/", page + "//", page.upper() + "/", "/" + page, "//" + page, f"/.{page}"[:0] + "///" + page,
        page + "/x", page + "/x.css", page + "/x/y", page + "/%20", page + "/.x", page + "/;x", page + "/x;y",
        page + ";", page + ";a", page + ";a=1", page + ";jsessionid=1", page + ";a;b", page + ";a=1;b=2/", page + ";a%2Fb",
        page + ";a%2fb/c", page + "%3b", page + "%3Ba=1", f"/;{page}", f"/;x{page}", f"/;x=1{page}", f"/;a/;b{page}",
        f"/a;b/..;{page}",
        f"/{escaped}{rest}", f"/{escaped.upper()}{rest}", f"/%{ord(first.upper()):02X}{rest}",
        page[:-1] + f"%{ord(page[-1]):02x}",
        f"%2F{page[1:]}", f"/%2f{page[1:]}", f"{page}%2f", f"{page}%2F", f"{page}%2fx",
        page + "?", page + "?x", page + "?/x", page + "?x=/y.css", page + "?;", page + "&x", page + "%3f", page + "%3Fx",
        page + ".", page + "..", page + "%20", page + "+", page + "%09", page + "%0a", page + "%00", page + "%00.css", page + "~",
        page + ".json", page + ".html", page + ".css", page + ".php", page + ".php/x", stem + ".json", stem, stem + "/",
        page + ":x", page + "::$DATA", f"/(S(abc)){page}", f"/index.php{page}", f"/index.php/x{page}", page + "/index.php",
        page + "/index.html", folder + "/", folder or "/", folder + "//" + name, page + "/index.jsp", folder + "/./" + name,
        folder + "/x/../" + name, folder + "\\" + name, page + "\\", f"http://x{page}", f"http://x{page}/",
        f"http://x{page.upper()}",
        page.replace("i", "%C4%B1"), page.replace("s", "%C5%BF"), page.replace("s", "%C0%B3"), page + "%C2%A0",
        page + "%E2%80%8B",
        page + ".a%2Fb", page + ".a%2Fb/", page + ".a%2Eb", page + ".a%20b", page + ".a+b", page + ".a~", page + ".a%3Fb",
        page + ".%C3%A9", page + "." + 24 * "a",
    ]  # fmt: skip


QUERIES: Final = (
    "page=500", "&" * 1000 + "page=500", "&" * 999 + "page=500", "page=0000000000000000500", "page=" + "0" * 400 + "500",
    "page=500abc",
    "page=500.", "page=500.0", "page=500.9", "page=5e2", "page=5E2", "page=5e+2", "page=.5e3", "page=0x1f4", "page=0X1F4",
    "page=0x1f4z",
    "page=5_00", "page=+500", "page=%2B500", "page=%20500", "page=500%20", "page=%0a500", "page=%0d%0a500", "page=%09500",
    "page=%0b500",
    "page=%0c500", "page=%00500", "page=500%00", "page=500,0", "page=%EF%BC%95%EF%BC%90%EF%BC%90", "page=%D9%A5%D9%A0%D9%A0",
    "page=%C2%A0500", "page=%E2%80%83500", "page=%EF%BB%BF500", "page=0o764", "page=0b111110100", "page=0764", "page=1e3",
    "page=1e999",
    "page=Infinity", "page=inf", "page[]=500", "page%5B%5D=500", "page[0]=500", "page[a]=500", "[page]=500", "page[=500",
    "page%5b=500",
    "+page=500", "%20page=500", "++page=500", "page%00x=500", "page%00=500", "p%61ge=500", "pa%67e=500", "page=1&page=500",
    "page=500&page=1", "x;page=500", "?page=500", "page=500;x", "page=500%3bx", "page=500#", "a=1;page=500", "page=%35%30%30",
    "page=500/",
    "PAGE=500", "page=--500", "page=+-500", "page=1&page[]=500", "page[]=1&page[]=500", "page=500d", "page=500f", "page=500L",
)  # fmt: skip


class Spelled(NamedTuple):
    """The servers' ports, and proxyguard in front of all of them."""

    ports: dict[str, int]
    guard: Proxyguard


@pytest.fixture(scope="module")
def spelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spelled]:
    names = [name for name, server in SERVERS.items() if server.is_there()]
    folder: Path = tmp_path_factory.mktemp("spellings")
    rules = folder / "rules"
    (rules / "lists").mkdir(parents=True)
    pages = ", ".join(dict.fromkeys(page for server in SERVERS.values() for page in (server.sign_up, server.admin)))
    (rules / "1.yaml").write_text(GUARD.format(name="guard", field="path", pages=pages))
    (rules / "2.yaml").write_text(GUARD.format(name="loose", field="loose_path", pages=pages))
    for path in (RULES / "lists").iterdir():
        (rules / "lists" / path.name).write_bytes(path.read_bytes())
    bundled, _, _ = (RULES / "50-sign-up-and-log-in.yaml").read_text().partition("\ntests:")  # they hold in its own folder
    (rules / "3.yaml").write_text(bundled)
    with running(names, folder) as ports:
        sites = "sites:\n" + "".join(
            f"- hosts: [{name}.example]\n  upstream: http://127.0.0.1:{port}\n"
            f"  paths: {SERVERS[name].preset}\n  rule_sets: [guard]\n"
            f"- hosts: [loose-{name}.example]\n  upstream: http://127.0.0.1:{port}\n  rule_sets: [loose]\n"
            f"- hosts: [bundled-{name}.example]\n  upstream: http://127.0.0.1:{port}\n  rule_sets: [sign-up-and-log-in]\n"
            for name, port in ports.items()
        )
        with proxyguard(folder / "guard", "", rules=rules, settings=sites) as guard:
            yield Spelled(ports, guard)


def ask(port: int, host: str, target: str, method: str = "POST") -> str:
    """The body that comes back; empty when the answer is none of a handler."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        length = "Content-Length: 0\r\n" if method != "GET" else ""
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{length}Connection: close\r\n\r\n"
        connection.sendall(head.encode("latin-1"))
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode("utf-8", "replace")


def reached(answer: str) -> bool:
    return answer.startswith("HTTP/1.1 200") and ("SIGNUP" in answer or "ADMIN" in answer)


def test_the_matrix_is_wide() -> None:
    assert len(set(target_spellings("/signup"))) >= 60
    assert len(set(QUERIES)) >= 60


@pytest.mark.parametrize("name", SERVERS)
def test_no_spelling_of_a_closed_page_reaches_its_handler(spelled: Spelled, name: str) -> None:
    if name not in spelled.ports:
        pytest.skip(f"there is no {name} here")
    server, guard = SERVERS[name], spelled.guard
    found = []
    for page in (server.sign_up, server.admin):
        for target in dict.fromkeys(target_spellings(page)):
            for method in ("POST", "GET"):
                if not reached(ask(spelled.ports[name], "x", target, method)):
                    continue
                found.append(target)
                assert not reached(ask(guard.port, f"{name}.example", target, method)), (
                    f"{method} {target} with paths: {server.preset}"
                )
                assert not reached(ask(guard.port, f"loose-{name}.example", target, method)), f"{method} {target} with loose_path"
    assert {server.sign_up, *server.reached} <= set(found)


@pytest.mark.parametrize("name", [name for name in SERVERS if name != "nginx"])  # which reads no numbers
def test_no_spelling_of_a_number_passes_a_bound(spelled: Spelled, name: str) -> None:
    if name not in spelled.ports:
        pytest.skip(f"there is no {name} here")
    server, guard = SERVERS[name], spelled.guard
    alone, within = [], []
    for query in QUERIES:
        if reads_far(ask(spelled.ports[name], "x", f"{server.search}?{query}", "GET")):
            alone.append(query)
        if reads_far(ask(guard.port, f"{name}.example", f"{server.search}?{query}", "GET")):
            within.append(query)
    assert "page=500" in alone
    print(name, len(alone), "of", len(QUERIES))
    assert within == []


def reads_far(answer: str) -> bool:
    """Whether a site read a number of at least 100, and says so."""
    found = re.search(r"SEARCH (.*)", answer)
    if found is None or not answer.startswith("HTTP/1.1 200"):
        return False
    return any(
        float(number) >= 100
        for number in re.findall(r"(?<![\w.-])(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf)(?![\w.])", found[1].lower())
    )


@pytest.mark.parametrize("name", SERVERS)
def test_forty_sign_ups_in_forty_spellings_are_a_flood_as_bundled(spelled: Spelled, name: str) -> None:
    if name not in spelled.ports:
        pytest.skip(f"there is no {name} here")
    server, guard = SERVERS[name], spelled.guard
    if server.sign_up != "/signup":
        pytest.skip("the bundled list has no such page")
    targets = ["".join(c.upper() if (n >> i) & 1 else c for i, c in enumerate("/signup")) for n in range(2, 42, 2)]
    targets += ["/signup/", "/signup;a", "/;x/signup", "/%73ignup", "//signup", *["/signup"] * 15]
    made = 0
    for target in targets:
        with socket.create_connection(("127.0.0.1", guard.port), timeout=3) as connection:
            connection.sendall(f"POST {target} HTTP/1.1\r\nHost: bundled-{name}.example\r\nContent-Length: 0\r\n\r\n".encode())
            made += b"SIGNUP" in connection.recv(65536)
    assert made <= 5
