"""Guarded forms: a signed token for each reading of a form's page, which its post must bring back.

The token stands in a cookie of its form: a version, the time of issue, eight random bytes, and two keyed hashes. The first
binds it to host, form, client network and user agent, the second signs it all. No list of issued tokens is kept, so that
reading a page fills nothing. Which tokens were used is counted by the store, like any limit: by all workers, and by all instances
of one store.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from proxyguard.core.address import Prefixes
from proxyguard.core.form import FormState, FormVisit, GuardedForm
from proxyguard.core.request import Headers, Request
from proxyguard.guard.signed_cookie import cookie_attributes, read_cookie, set_cookie
from proxyguard.limits.charge import Charge, Owner, Usage
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.limits.stores.store import AsyncStore, Outcome, Store, StoreUnavailable

COOKIE: Final = b"pg-form-"
"""Before the name of the form."""

VERSION: Final = 1
_TIME_END: Final = 7
_NONCE_END: Final = 15
_BINDING_END: Final = 22
_MAC_BYTES: Final = 14

_MAX_COPIES: Final = 2
"""Cookies of the name that are looked at, as of jars."""

_CLOCK_SKEW_SECONDS: Final = 120.0
"""How far ahead the clock of the instance may be that gave a token. One of a later time is none: its reader gets another."""

_NONE: Final = (b"none",)
_USED: Final = (b"used",)
_UNKNOWN: Final = Usage(exceeded=True, remaining=0, retry_after_seconds=0.0)
_STATES: Final = {state: (state.encode(),) for state in FormState}
_BEST_FIRST: Final = (FormState.GOOD, FormState.FOREIGN, FormState.EARLY, FormState.LATE)


class Forms:
    """Gives and reads the tokens of forms. One per process; it holds nothing that a client can fill."""

    __slots__ = ("_prefixes", "_secret", "_wall", "given")

    def __init__(self, secret: bytes, prefixes: Prefixes, wall: Callable[[float], float]) -> None:
        self._secret = blake2b(secret, digest_size=32, person=b"form").digest()
        self._prefixes = prefixes
        self._wall = wall
        self.given = 0
        """Tokens given."""

    def look(self, guarded: GuardedForm, request: Request, owner: Owner, now: float, *, is_post: bool) -> Charge | None:
        """Set the request's form; the charge that tells whether its token was used, if that matters: see `ask_about`.

        Uses of a foreign token are counted apart, so that nobody uses up another's.
        """
        state, nonce, age = self._best(guarded, request, now)
        if is_post:
            request.form = FormVisit(guarded, _NONE if state is None else _STATES[state])
            if state is not FormState.GOOD and state is not FormState.FOREIGN:
                return None
        else:
            request.form = FormVisit(guarded, ())
            is_young = state in (FormState.GOOD, FormState.EARLY) and age < guarded.within_seconds / 2
            if not is_young:
                return None
        whose = "foreign" if state is FormState.FOREIGN else "form"
        return Charge(
            f"{whose}:{guarded.name}:{guarded.within_seconds:g}:{guarded.uses}|{nonce.hex()}",
            use_limit(guarded),
            1.0 if is_post else 0.0,
            stops=False,
            owner=owner,
        )

    def cookie(self, request: Request, now: float) -> Headers:
        """A field that gives the reader of a form a token; none when it keeps the one it has."""
        form = request.form
        if form is None or form.is_kept:
            return ()
        nonce = os.urandom(8)
        issued = int(self._wall(now) * 1000)
        signed = bytes((VERSION,)) + issued.to_bytes(6) + nonce
        signed += self._binding(nonce, form.guarded, request)
        name, seconds = COOKIE + form.guarded.name.encode(), form.guarded.within_seconds
        self.given += 1
        attributes = cookie_attributes(seconds, request.scheme == b"https")
        return set_cookie(name + b"=", signed + self._sign(signed), attributes)

    def _best(self, guarded: GuardedForm, request: Request, now: float) -> tuple[FormState | None, bytes, float]:
        """The state of the best token that came, its nonce, and its age in seconds."""
        found: dict[FormState, tuple[bytes, float]] = {}
        for value in request.cookies.get(COOKIE + guarded.name.encode(), ())[:_MAX_COPIES]:
            raw = read_cookie(value, VERSION, _BINDING_END, _MAC_BYTES, self._sign)
            if raw is None:
                continue
            age = self._wall(now) - int.from_bytes(raw[1:_TIME_END]) / 1000
            if age >= -_CLOCK_SKEW_SECONDS:
                found.setdefault(self._state(guarded, request, raw, age), (raw[_TIME_END:_NONCE_END], age))
        for state in _BEST_FIRST:
            if state in found:
                return state, *found[state]
        return None, b"", 0.0

    def _state(self, guarded: GuardedForm, request: Request, raw: bytes, age: float) -> FormState:
        if age > guarded.within_seconds:
            return FormState.LATE
        if age < guarded.after_seconds:
            return FormState.EARLY
        bound = self._binding(raw[_TIME_END:_NONCE_END], guarded, request)
        return FormState.GOOD if compare_digest(bound, raw[_NONCE_END:_BINDING_END]) else FormState.FOREIGN

    def _binding(self, nonce: bytes, guarded: GuardedForm, request: Request) -> bytes:
        network = request.client.network_key(self._prefixes).encode()
        text = b"\0".join((guarded.name.encode(), request.host, network, request.user_agent or b""))
        return blake2b(nonce + text, key=self._secret, digest_size=_BINDING_END - _NONCE_END, person=b"binding").digest()

    def _sign(self, signed: bytes) -> bytes:
        return blake2b(signed, key=self._secret, digest_size=_MAC_BYTES, person=b"token").digest()


def use_limit(guarded: GuardedForm) -> Limit:
    """How often a token can be used: each use is given back only when the token is too old.

    A hundredth more than that, as limits take a charge early by a thousandth of a unit; and what clocks of instances may differ.
    """
    period = (guarded.within_seconds * 1.01 + _CLOCK_SKEW_SECONDS) * guarded.uses
    return Limit(guarded.uses, period, guarded.uses, (KeyPart(KeyKind.SITE),))


def ask_about(store: Store | AsyncStore, charge: Charge, request: Request, now: float) -> Awaitable[None] | None:
    """Ask the store what was done with the token of a request's form, and note it there; None when it answered at once.

    While the store is down and `store.on_down` is closed, a token counts as used.
    """
    try:
        outcome = store.charge((charge,), (), now)
    except StoreUnavailable:
        _learn(request.form, _UNKNOWN)
        return None
    if not isinstance(outcome, Outcome):
        return _learn_later(request.form, outcome)
    _learn(request.form, outcome.usages[0])
    return None


async def _learn_later(form: FormVisit | None, waiting: Awaitable[Outcome]) -> None:
    try:
        usage = (await waiting).usages[0]
    except StoreUnavailable:
        usage = _UNKNOWN
    _learn(form, usage)


def _learn(form: FormVisit | None, usage: Usage) -> None:
    """Take in what the store says about a form's token."""
    if form is None:
        return
    if not form.states:
        form.is_kept = not usage.exceeded
    elif usage.exceeded:
        form.states = _USED
