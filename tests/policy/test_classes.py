"""Classes of clients from the YAML to the audit log: who is known by what the site says, and who by a signature."""

from __future__ import annotations

import json
from pathlib import Path

from proxyguard.core.address import Address
from proxyguard.core.decision import Mode
from proxyguard.core.request import Request
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.metrics import Metrics

RULES = """
name: who
account: {key: cookie.session, class_header: X-Account-Class, remember: 10m}
classes:
  - {name: verified, when: {account: verified}}
  - {name: signed-in, when: {account: present}}
rules:
  - {name: staff, when: {account: staff}, action: allow}
  - {name: no-strangers, when: {class: anonymous, path: /members}, action: reject}
  - name: downloads
    when: {path: /download}
    limit: {rate: 2/hour, per: [account], missing: separate}
    action: reject
  - {name: seen, when: {path: /seen, class: verified}, action: {tag: seen}}
"""


def loaded(text: str, folder: Path) -> Policy:
    folder.mkdir(exist_ok=True)
    (folder / "who.yaml").write_text(text)
    policy = load_policy(folder).policy
    assert policy is not None
    return policy


class Bench:
    """A guard over the rules above, on a clock of its own."""

    def __init__(self, tmp_path: Path, mode: Mode = Mode.ENFORCE) -> None:
        self.now = 1000.0
        self.metrics = Metrics()
        self.path = tmp_path / "audit.jsonl"
        self.audit = AuditLog(str(self.path), lambda count: None)
        compiled = compile_policy(loaded(RULES, tmp_path / "rules"), secret=b"x", mode=mode)
        self.guard = Guard(
            Policies("d", HostTable([]), compiled), MemoryStore(), self.metrics, self.audit, clock=lambda: self.now
        )

    def ask(self, path: str, session: str = "", client: str = "192.0.2.1", host: str = "example.org") -> Ticket:
        headers = ((b"Cookie", b"session=" + session.encode()),) if session else ()
        request = Request(Address.parse(client), b"GET", b"https", host.encode(), path.encode(), headers)
        ticket = self.guard.check(request)
        assert isinstance(ticket, Ticket)
        return ticket

    def say(self, word: str, session: str, host: str = "example.org") -> None:
        """A response of the site that says whose the session is."""
        forwarding = self.ask("/", session, host=host).forwarding
        assert forwarding is not None
        assert forwarding.on_hidden_value is not None
        forwarding.on_hidden_value(word.encode())

    def decided(self, *arguments: str) -> str:
        decision = self.ask(*arguments).decision
        return f"{decision.name} by {decision.rule}"

    def records(self) -> list[dict[str, object]]:
        self.audit.close()
        return [json.loads(line) for line in self.path.read_text().splitlines()]


def test_a_session_is_a_stranger_until_the_site_has_spoken(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.decided("/members", "s1") == "reject by no-strangers"
    bench.say("member", "s1")
    assert bench.decided("/members", "s1") == "pass by default"
    assert bench.decided("/members", "s2") == "reject by no-strangers"
    assert bench.decided("/members") == "reject by no-strangers"


def test_the_word_of_a_site_ends_by_itself_or_by_an_empty_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.say("member", "s1")
    bench.now += 599
    assert bench.decided("/members", "s1") == "pass by default"
    bench.now += 1
    assert bench.decided("/members", "s1") == "reject by no-strangers"
    bench.say("member", "s1")
    bench.say("", "s1")
    assert bench.decided("/members", "s1") == "reject by no-strangers"


def test_what_one_host_says_is_not_believed_of_another(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.say("verified", "s1", host="forum.example.org")
    assert bench.ask("/", "s1", host="forum.example.org").class_ == "verified"
    assert bench.ask("/", "s1").class_ == "anonymous"


def test_an_allow_rule_may_ask_for_the_account(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.say("staff", "s1")
    ticket = bench.ask("/members", "s1")
    assert (ticket.decision.rule, ticket.class_) == ("staff", "")


def test_an_account_is_counted_wherever_it_comes_from(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.say("member", "s1")
    assert bench.decided("/download", "s1", "192.0.2.1") == "pass by default"
    assert bench.decided("/download", "s1", "198.51.100.1") == "pass by default"
    assert bench.decided("/download", "s1", "203.0.113.1") == "reject by downloads"
    assert bench.decided("/download", "s2", "192.0.2.1") == "pass by default"
    assert bench.decided("/download", "s3", "192.0.2.1") == "pass by default"
    assert bench.decided("/download", "made-up", "192.0.2.1") == "reject by downloads"


def test_the_class_is_recorded_and_counted_and_alone_worth_no_record(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.say("verified", "s1")
    for path, session in (("/", "s1"), ("/seen", "s1"), ("/members", "")):
        ticket = bench.ask(path, session)
        if ticket.decision.forwards:
            bench.guard.settle(ticket, Served(200))
    assert dict(bench.metrics.classes) == {"anonymous": 2, "verified": 2}
    assert [(record["path"], record["class"], record["tags"]) for record in bench.records()] == [
        ("/seen", "verified", ["seen"]),
        ("/members", "anonymous", []),
    ]


def test_the_class_is_known_even_where_nothing_may_act(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Mode.SHADOW)
    bench.say("member", "s1")
    assert bench.ask("/members", "s1").decision.shadow == ()
    assert [hit.rule for hit in bench.ask("/members").decision.shadow] == ["no-strangers"]


def test_the_header_is_hidden_whoever_asks(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    forwarding = bench.ask("/").forwarding
    assert forwarding is not None
    assert forwarding.hide == b"x-account-class"
    assert forwarding.on_hidden_value is not None
    forwarding.on_hidden_value(b"member")
    assert bench.ask("/").class_ == "anonymous"


def test_the_first_class_that_holds_is_the_class(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.say("verified", "s1")
    bench.say("gold", "s2")
    assert [bench.ask("/", session).class_ for session in ("s1", "s2", "s3")] == ["verified", "signed-in", "anonymous"]
