"""What the guard finds out about a request before rules are asked, and what its answer is to carry: account, jar, item, form.

Each is looked for only where the policy has rules about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from proxyguard.core.decision import PASS, Decision, Prove
from proxyguard.core.request import Headers, Request
from proxyguard.guard.account_cache import AccountCache
from proxyguard.guard.acquaintances import Acquaintances
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.forms import Forms
from proxyguard.guard.interfaces import Forwarding, Served, Ticket
from proxyguard.guard.jars import ASSET_TAG, GIVE_TAG, Jars
from proxyguard.guard.robots.contracts import RobotsContracts
from proxyguard.http.preferences import ROBOTS, PreferenceFiles
from proxyguard.http.ratelimit_fields import quota_fields
from proxyguard.http.responses import Answer
from proxyguard.limits.charge import Charge
from proxyguard.policy.compile.compile import Account, CompiledPolicy
from proxyguard.policy.compile.keys import AMBIGUOUS
from proxyguard.policy.sites import Policies
from proxyguard.telemetry.otel.tracer import Tracer

_AUTHORIZATION: Final = b"authorization"

FOUND: Final = (200, 304)
"""Of an asset that the site has; a path that a client made up proves nothing."""


class Preparing:
    """Prepares requests for their rules, and answers for their way back. One per guard."""

    __slots__ = (
        "_clock", "_policies", "_tracer", "accounts", "acquaintances", "disclosure", "forms", "jars", "preferences", "robots",
    )  # fmt: skip

    def __init__(
        self,
        accounts: AccountCache,
        jars: Jars | None,
        disclosure: Disclosure | None,
        forms: Forms | None,
        acquaintances: Acquaintances | None,
        policies: Callable[[], Policies],
        clock: Callable[[], float],
        tracer: Tracer | None = None,
        robots: RobotsContracts | None = None,
        preferences: PreferenceFiles | None = None,
    ) -> None:
        """Without `jars` no client has one and none is given; without `disclosure` nothing is an item, without `forms` no form is
        guarded, without `acquaintances` nobody is known or new, without `robots` nothing is known of robots.txt."""
        self.accounts = accounts
        self.jars = jars
        self.disclosure = disclosure
        self.forms = forms
        self.acquaintances = acquaintances
        self.robots = robots
        self.preferences = preferences
        self._policies = policies
        self._clock = clock
        self._tracer = tracer

    def prepare(self, policy: CompiledPolicy, request: Request, now: float) -> Charge | None:
        """Set what rules of this policy ask for; a charge that the store is to be asked before, with `forms.ask_about`."""
        if request.reading is not policy.reading:
            request.read_as(policy.reading)
        if policy.account is not None:
            self._recognise(policy.account, request, now)
        if policy.gives_jars and self.jars is not None:
            request.jar = self.jars.read(request, now)
        if policy.items is not None and self.disclosure is not None:
            request.item = self.disclosure.find(policy.items, request, now)
        if policy.asks_visitors and self.acquaintances is not None:
            request.visitor = self.acquaintances.of(request, now)
        if policy.asks_robots and self.robots is not None:
            request.robots = self.robots.judge(request, now)
        if policy.forms is not None and self.forms is not None:
            found = policy.forms.find(request)
            if found is not None:
                return self.forms.look(found[0], request, policy.known(request).owner, now, is_post=found[1])
        return None

    @property
    def dresses(self) -> bool:
        """Whether answers carry something whatever their policy is."""
        return self._tracer is not None or self.preferences is not None

    def proven(self, request: Request, decision: Decision, now: float) -> Decision:
        """The decision to send a client for a jar, or to let it on where its network has been sent too often."""
        if self.jars is not None and self.jars.ask(request, now):
            return decision
        return replace(decision, action=PASS)

    def forwarding(self, policy: CompiledPolicy, request: Request, decision: Decision, now: float) -> Forwarding | None:
        """What the front does beside: hide and report the account header, add announced limits, a jar, a token, say the trace."""
        if policy.asks_visitors and self.acquaintances is not None and decision.forwards:
            self.acquaintances.observe(request, now)
        fields: Headers = quota_fields(decision.quotas) if decision.quotas else ()
        jar = self._jar(request, decision, now) if policy.gives_jars else ()
        if isinstance(decision.action, Prove):
            return Forwarding(add=jar, sets_cookie=True)
        has_form = request.form is not None
        cookies = (*jar, *self.forms.cookie(request, now)) if has_form and self.forms is not None else jar
        added = (*fields, *cookies) if fields else cookies
        trace = None if self._tracer is None else self._tracer.begin(request)
        account, preferences = policy.account, self.preferences
        if account is None and preferences is None and not added and not has_form and trace is None:
            return None
        hide = b"" if account is None else account.header
        learn = None if account is None else partial(self._learn_account, account, request)
        defaults = () if preferences is None else preferences.fields
        answer = None if preferences is None else self._own_answer(preferences, request, now)
        return Forwarding(hide, learn, added, bool(cookies), trace, has_form, defaults, answer)

    def _own_answer(self, preferences: PreferenceFiles, request: Request, now: float) -> Answer | None:
        """What the front answers about preferences; None: the site answers."""
        path = request.path
        if request.method not in (b"GET", b"HEAD"):
            return None
        if path != ROBOTS:
            return preferences.file(path)
        if self.robots is None or not preferences.wants_robots_txt:
            return None
        text = self.robots.text_of(request, now)
        return None if text is None else preferences.robots_txt(text, request.scheme, request.host)

    def settle(self, ticket: Ticket, served: Served, now: float) -> None:
        """Learn from the end of an exchange what is read, and what its client's jar has proven."""
        item = ticket.request.item
        if item is not None and self.disclosure is not None:
            self.disclosure.settle(item, ticket, served, now)
        is_found = served.status in FOUND and served.upstream_seconds is not None
        if is_found and self.jars is not None and ASSET_TAG in ticket.decision.tags:
            self.jars.saw_asset(ticket.request.jar, now)

    def _jar(self, request: Request, decision: Decision, now: float) -> Headers:
        """A jar for a client that is to have one. Requests with credentials of their own need none."""
        jars = self.jars
        if jars is None:
            return ()
        if isinstance(decision.action, Prove):
            return jars.cookie(request, now)
        if GIVE_TAG in decision.tags and _AUTHORIZATION not in request.header_index:
            return jars.cookie(request, now)
        return ()

    def _recognise(self, account: Account, request: Request, now: float) -> None:
        """Set the request's account, when the upstream has named that of its session."""
        session = account.session.of(request)
        if session is None:
            return
        if session == AMBIGUOUS:
            request.is_session_unclear = True
            return
        name = self.accounts.find(site_session(request, session), now)
        if name is not None:
            request.account = name.encode()
            request.account_key = session

    def _learn_account(self, account: Account, request: Request, value: bytes) -> None:
        session = account.session.of(request)
        if session is not None and session != AMBIGUOUS:
            name = value.decode("ascii", "ignore").strip()
            network = self._policies().of(request.host).known(request).owner[1]
            self.accounts.learn(site_session(request, session), name, self._clock() + account.remember_seconds, network)


def site_session(request: Request, session: str) -> str:
    """The key of a remembered account: what the upstream of one host says holds for no other host."""
    return f"{session}@{request.host.decode('ascii', 'replace')}"
