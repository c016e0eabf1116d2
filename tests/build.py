"""Short ways to say a rule, a policy and a request in tests of the engine."""

from __future__ import annotations

from proxyguard.core.address import Address, Network
from proxyguard.core.decision import Action, Mode
from proxyguard.core.request import Request
from proxyguard.limits.limit import KeyKind, KeyPart, Limit, Missing
from proxyguard.policy.model import (
    ALWAYS,
    AtLeast,
    Condition,
    Field,
    InNetworks,
    Matcher,
    Place,
    Policy,
    Rule,
    RuleSet,
    RuleTest,
    Test,
    Text,
    TextKind,
)

CLIENT = KeyPart(KeyKind.CLIENT)


def asks(field: str, matcher: Matcher) -> Test:
    """`asks("header.accept", Absent())`."""
    kind, _, name = field.partition(".")
    return Test(Field(kind, name), matcher)


def text(field: str, kind: TextKind, *texts: str) -> Test:
    return asks(field, Text(kind, tuple(each.encode() for each in texts)))


def equal(field: str, *texts: str) -> Test:
    return text(field, TextKind.EQUAL, *texts)


def word(*texts: str) -> Test:
    return text("user_agent", TextKind.WORD, *texts)


def client_in(*networks: str) -> Test:
    return asks("client", InNetworks(tuple(Network.parse(network) for network in networks)))


def score_at_least(points: float) -> Test:
    return asks("score", AtLeast(points))


def limit(burst: int = 1, *per: KeyPart, missing: Missing = Missing.SHARED) -> Limit:
    """`burst` at once and as many per minute; per client unless said otherwise."""
    return Limit(burst, 60.0, burst, per or (CLIENT,), missing)


def rule(
    name: str,
    action: Action,
    when: Condition = ALWAYS,
    counted: Limit | None = None,
    *,
    mode: Mode = Mode.ENFORCE,
    expires: float | None = None,
) -> Rule:
    """A rule whose `why` is `because NAME`."""
    return Rule(
        name=name,
        action=action,
        when=when,
        limit=counted,
        mode=mode,
        why=f"because {name}",
        expires=expires,
        place=Place("rules/a.yaml", 1, 1),
    )


def policy(*rules: Rule, mode: Mode = Mode.ENFORCE, tests: tuple[RuleTest, ...] = ()) -> Policy:
    """One rule set, `set-a`."""
    return Policy((RuleSet(name="set-a", file="rules/a.yaml", mode=mode, rules=rules, tests=tests),), digest="d1")


def request(
    target: str = "/",
    *,
    client: str = "192.0.2.1",
    method: str = "GET",
    scheme: str = "https",
    host: str = "example.org",
    headers: tuple[tuple[str, str], ...] = (),
    user_agent: str | None = "Mozilla/5.0",
) -> Request:
    agent = ((b"User-Agent", user_agent.encode()),) if user_agent is not None else ()
    return Request(
        Address.parse(client),
        method.encode(),
        scheme.encode(),
        host.encode(),
        target.encode(),
        (*agent, *((name.encode(), value.encode()) for name, value in headers)),
    )
