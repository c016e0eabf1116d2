"""What the worst requests of 8 KB cost, counted and not timed: lines, calls and turns of loops that the interpreter runs for one.

A request is read from its bytes, looked at by the bundled rules and by rules whose keys are values that it chose, counted and
decided. What C code does inside of one call (a regular expression, a copy) is not seen here; `make bench` sees it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from types import CodeType

import pytest

from proxyguard.core.address import Address
from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.reading import PRESETS
from proxyguard.core.request import MAX_QUERY_PARAMETERS, MAX_QUERY_VALUES, Request
from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import BadRequest
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.http1.request_parser import RequestParser
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy, RuleSet
from tests.paths import BUNDLED_RULES, ROOT

pytestmark = pytest.mark.skipif(BUILD_KIND == "compiled", reason="compiled code runs no lines")

BYTES = 7900
"""Of one target or field: what is left of `Bounds.target_bytes` and `Bounds.field_bytes` is for its beginning."""

FIXED = 3000
"""Operations of a request whatever it has: `GET /` takes about 2,000."""

PER_BYTE = 4
"""Further operations for each byte of a request of 8 KB."""

GROWTH = 2.2
"""How many times the operations of half the request the whole may take: 4, where something is quadratic."""

CLIENT = Address.parse("192.0.2.1")

RULES = """
name: keyed
rules:
  - name: by-values
    when: {path: {prefix: /}}
    limit: {rate: 1000000/second, per: [query.page, cookie.session, header.x-key]}
    action: reject
  - name: by-path
    when: {path: {prefix: /}}
    limit: {rate: 1000000/second, per: [path, query.q, header.authorization]}
    action: reject
  - name: pages
    when: {path: {prefix: /}}
    limit: {rate: 1000000/second, per: [client], count: {distinct: query.page}}
    action: reject
  - name: bans
    when: {path: /nowhere}
    limit: {rate: 1/day, per: [cookie.session]}
    action: {ban: {for: 1h}}
  - name: header-bans
    when: {path: /nowhere}
    limit: {rate: 1/day, per: [header.x-key]}
    action: {ban: {for: 1h}}
  - name: query-bans
    when: {path: /nowhere}
    limit: {rate: 1/day, per: [query.page, header.authorization]}
    action: {ban: {for: 1h}}
  - name: texts
    when:
      any:
        - {query.page: {at_least: 1000000}}
        - {query.q: {contains: zzz}}
        - {cookie.session: {regex: 'a.*zzz'}}
        - {path: {regex: 'a.*zzz'}}
    action: {score: 1}
"""

PARAMETERS = (
    "a#", "a#=1", "%61#[]=1", "a.#[x]", "[a#]=1", "]a[#", "a[#", "a#;", ";a#", "a;b;c#", "+a#=+", "a#%26=1", "a#=%u0061",
    "%u00e4#", "page=1", "page[]=1", "page[#]=1_#", "PAGE=%31", "page=0x1f", "page=1_", "page=%D9%A1", "page=j:#",
    "%2570age=%2531",
)  # fmt: skip
TEXTS = ("%61", "%2561", "[", "]", ";", "=", "%u0061", "%D9%A1", "+", "1", "0", "_1", ".", "%00", "%26", "\\")
VALUES = (",", "a,", "%61", '"', "\\141", "a=b;", "page=1_2;")
SEGMENTS = (
    "/a", "/", ";", ";a/", "/;", "%61", "/%61", "/a.", "%20", ".%20", "/(S(a))", "/(A(a)", "(a(", ":", "a:", ".php", ".php/",
    "/index.php", "/index.php/", "%C3%84", "%C3", "/A", ".json", "/.%61", "/..a", "/default.", "%25", "%2f", "%23", "a.cgi/",
)  # fmt: skip
COOKIES = (
    "a#=1; ", "session=%61;", "session#=1; ", "session=%25;", ";", " a=", "a ", ",", "=", "\\141", 'session="', "[a#=; ",
    ".a#=; ", "a%5b#=;", "Session=#;", "session[#]=1; ", "a=1,session=2 ", "session=%4#;", "session=\\141#;", "session=%2525#;",
    "session=%2525%2525#;", "session=x%u0#;", "session=#%00;", "session=j:#;", "&#=1;", "%26#=%26;", "[#=1;", "se#ssion[]=1;",
)  # fmt: skip
AGENTS = ("bot ", "go-http-clientx", "curl/", "a ", "Mozilla ", "(", "spider-", "GPTBot/1.0; +", "python-requests", "x11; ", "#")
FIELDS = (
    "X-Forwarded-For",
    "Accept",
    "Accept-Language",
    "Referer",
    "Authorization",
    "Sec-CH-UA",
    "X-Key",
    "Connection",
    "Range",
    "Via",
    "Signature",
)


def filled(unit: str, size: int, *, most: int = 8192, mark: str = "") -> str:
    """`unit` as often as it fits, with a number in the place of `#` and `mark` between."""
    parts: list[str] = []
    left = size
    while len(parts) < most:
        part = unit.replace("#", str(len(parts)))
        left -= len(part) + len(mark)
        if left < 0:
            break
        parts.append(part)
    return mark.join(parts)


def query(unit: str, size: int) -> str:
    one_name = unit.lower().startswith(("page", "[", "%2570age")) or "#" not in unit
    return filled(unit, size, most=MAX_QUERY_VALUES if one_name else MAX_QUERY_PARAMETERS, mark="&")


def worst(size: int) -> Iterator[tuple[str, bytes]]:
    """Requests by what they are full of."""
    for unit in PARAMETERS:
        yield f"?{unit}", raw(f"/search?{query(unit, size)}")
    for unit in TEXTS:
        text = filled(unit, size)
        yield f"?page={unit}", raw(f"/search?page={text}")
        yield f"?{unit}=1", raw(f"/search?{text}=1")
    for name, unit in product(FIELDS, VALUES):
        yield f"{name}: {unit}", raw("/", (name, ("basic " if name == "Authorization" else "") + filled(unit, size)))
    for unit in SEGMENTS:
        yield f"/{unit}", raw(f"/{filled(unit, size)}")
    for unit in COOKIES:
        yield f"Cookie: {unit}", raw("/", ("Cookie", filled(unit, size)))
        yield f"Cookie: session={unit}", raw("/", ("Cookie", f"session={filled(unit, size)}"))
    for unit in AGENTS:
        yield f"User-Agent: {unit}", raw("/", ("User-Agent", filled(unit, size)))
    for name in ("A#", "A_#", "X-Key", "X_Key", "Cookie", "X-Forwarded-For"):
        fields = ((name.replace("#", str(number)), f"a{number}=" + "b" * (size // 120)) for number in range(95))
        yield f"{name} in 95 fields", raw("/", *fields)


def raw(target: str, *fields: tuple[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in (("Host", "a.example"), *fields))
    return f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode()


@cache
def policy() -> Policy:
    bundled = load_policy(BUNDLED_RULES).policy
    assert bundled is not None
    return bundled


def compiled(reading: str, folder: Path) -> CompiledPolicy:
    """The bundled rules and those above, as a site of some kind has them."""
    (folder / "keyed.yaml").write_text(RULES)
    result = load_policy(folder)
    assert result.policy is not None, result.problems
    sets: tuple[RuleSet, ...] = (*policy().rule_sets, *result.policy.rule_sets)
    return compile_policy(Policy(sets), secret=b"secret", reading=PRESETS[reading])


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Count the lines, calls and jumps of proxyguard's modules until the end of the block."""
    monitoring, tool, ours = sys.monitoring, sys.monitoring.PROFILER_ID, str(ROOT / "proxyguard")
    count = 0

    def on_event(code: CodeType, *_: object) -> object:
        nonlocal count
        if not code.co_filename.startswith(ours):
            return monitoring.DISABLE
        count += 1
        return None

    events = (monitoring.events.LINE, monitoring.events.CALL, monitoring.events.JUMP)
    monitoring.use_tool_id(tool, "cost")
    try:
        for event in events:
            monitoring.register_callback(tool, event, on_event)
        monitoring.set_events(tool, sum(events))
        yield lambda: count
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)


def serve(policy_: CompiledPolicy, store: MemoryStore, request: bytes) -> None:
    """Read, look at, count and decide one request, unless it is refused for its form."""
    try:
        head = RequestParser(Bounds()).feed(request)[0]
    except BadRequest:
        return
    assert isinstance(head, RequestHead)
    asked = Request(CLIENT, head.method, b"https", head.host, head.target, head.headers)
    found = match(policy_, asked, 1e6)
    if found.decision is None:
        decide(found, store.charge(found.charges, found.ban_keys, 1e6))


def operations(policy_: CompiledPolicy, size: int) -> dict[str, int]:
    """By what requests are full of."""
    store = MemoryStore(keys=10_000, bans=100)
    found = {}
    for name, request in worst(size):
        with counted() as count:
            serve(policy_, store, request)
            found[name] = count()
    return found


@pytest.mark.long
@pytest.mark.parametrize("reading", ["php", "rails", "iis"])
def test_the_worst_requests_cost_few_operations_a_byte_and_twice_as_much_costs_twice(reading: str, tmp_path: Path) -> None:
    made = compiled(reading, tmp_path)
    half, whole = operations(made, BYTES // 2), operations(made, BYTES)
    assert {name: count for name, count in whole.items() if count > FIXED + PER_BYTE * BYTES} == {}
    assert {name: (half[name], count) for name, count in whole.items() if count > FIXED + GROWTH * half[name]} == {}
    assert max(whole.values()) > 2 * BYTES, "nothing was counted"
