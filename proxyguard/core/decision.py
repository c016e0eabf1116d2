"""Decisions about requests: the closed union of actions, and the decision that names its rule and reason.

Plain values. Knows nothing of how a decision is reached (engine) or carried out (adapters, responses).
Durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from proxyguard.core.frozen import pickle_by_fields


class Mode(StrEnum):
    """Whether a rule acts (`enforce`), only records what it would have done (`shadow`), or is not looked at (`off`)."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


def weakest(*modes: Mode) -> Mode:
    """The mode that acts least: off, else shadow, else enforce."""
    if Mode.OFF in modes:
        return Mode.OFF
    return Mode.SHADOW if Mode.SHADOW in modes else Mode.ENFORCE


@dataclass(frozen=True, slots=True)
class Allow:
    """Forward, whatever any other rule, ban, score or limit says."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Forward, and look at no later rule."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer at once. `status` None means 429 when a limit decided, else 403."""

    status: int | None = None
    message: str | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Tarpit:
    """Answer slowly: a plausible response, `drip_bytes` every `drip_seconds`, for at most `hold_seconds`."""

    hold_seconds: float = 60.0
    drip_seconds: float = 2.0
    drip_bytes: int = 1


@dataclass(frozen=True, slots=True)
class Delay:
    """Forward after a wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Maze:
    """Answer, after a wait, with a made page whose links lead to more of them; a refusal where the budget is used up."""

    wait_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Ban:
    """Remember a refusal for the rule's key (its limit's `per`, else the client) and answer with `then`.

    Each further ban of the same key within `forget_seconds` of the last one's end lasts `escalation` times longer, up to
    `max_seconds`.
    """

    for_seconds: float
    then: Reject | Tarpit | Drop = field(default_factory=Reject)
    escalation: float = 1.0
    max_seconds: float = 86_400.0
    forget_seconds: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Score:
    """Add points (which may be negative) and go on."""

    points: float


@dataclass(frozen=True, slots=True)
class Tag:
    """Attach a tag and go on."""

    name: str


@dataclass(frozen=True, slots=True)
class GiveJar(Tag):
    """Give the client a cookie jar with the answer, or note that its jar fetched an asset, and go on."""


@dataclass(frozen=True, slots=True)
class Prove:
    """Send a client that has no cookie jar to where it is, with one. Browsers follow without showing anything."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Forward, and take personal data out of the answer.

    `json` are paths of fields, `html` CSS selectors of elements, `patterns` kinds of text. `untouched` are
    beginnings of content types that pass as they are. An answer of more than `most_bytes` is refused.
    """

    json: tuple[str, ...] = ()
    html: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    untouched: tuple[str, ...] = ()
    most_bytes: int = 524_288


@dataclass(frozen=True, slots=True)
class Uniform:
    """Forward, throw the site's answer away, and answer with the same status, text and time whatever it was.

    The answer goes out `grid_seconds` after the site got the request; if the site takes longer, at twice that time, and so on.
    """

    body: str
    status: int = 200
    location: str = ""
    """Where a 303 leads."""
    content_type: str = "text/html; charset=utf-8"
    grid_seconds: float = 0.5


Action = Allow | Pass | Prove | Reject | Tarpit | Maze | Delay | Drop | Ban | Score | Tag | GiveJar | Mask | Uniform
FinalAction = Allow | Pass | Prove | Reject | Tarpit | Maze | Delay | Drop | Mask | Uniform
"""What a decision can be: a ban is what it answers, points and tags decide nothing."""

Refusal = Reject | Tarpit | Drop

ACTION_NAMES: Final[dict[type[Action], str]] = {
    Allow: "allow", Pass: "pass", Reject: "reject", Tarpit: "tarpit", Maze: "maze", Delay: "delay", Drop: "drop", Ban: "ban",
    Score: "score", Tag: "tag", GiveJar: "jar", Prove: "prove", Mask: "mask", Uniform: "uniform",
}  # fmt: skip

_REFUSING: Final[frozenset[type[Action]]] = frozenset((Reject, Tarpit, Maze, Drop, Ban))

STOPPING: Final = frozenset(ACTION_NAMES[kind] for kind in _REFUSING)
"""The names of what a client notices, and what keeps its request from the site."""

pickle_by_fields(*ACTION_NAMES)

DEFAULT_RULE: Final = "default"
"""The name of the rule that decides when none applies: `pass by default`."""

FAILURE_RULE: Final = "failure-mode"
"""The name of the rule that decides when checking itself failed."""

STORE_RULE: Final = "store-down"
"""The name of the rule that decides when the store is down and `store.on_down` is closed."""

SWITCH_RULE: Final = "shadow-switch"
"""The name of the rule that lets a request pass which another one would have stopped, had an operator not switched acting off."""

UNASKED: Final = ""
"""What stands for a rule's name where none was asked, as the front refused a request for its form."""

PASS: Final = Pass()
ALLOW: Final = Allow()


@dataclass(frozen=True, slots=True)
class ShadowHit:
    """What a rule in shadow would have done."""

    rule: str
    action: str


class Quota(NamedTuple):
    """The state of a limit, as far as the client may know it: for Retry-After and RateLimit fields."""

    limit: int
    period_seconds: float
    remaining: int
    retry_after_seconds: float
    """0 unless the limit is exceeded."""
    name: str = ""
    """The rule's, for a limit that is announced."""
    reset_seconds: float = 0.0
    """Until all of it is there again, for a limit that is announced."""
    unit: str = "requests"
    """What is counted, in the words of the rule language."""


class EndTime(NamedTuple):
    """When something ends for a client: Unix seconds, and seconds from the decision on."""

    at: float
    seconds_left: float


FORWARDING: Final = frozenset((Allow, Pass, Delay, Mask, Uniform))
"""The actions that let a request go on."""


@dataclass(init=False, unsafe_hash=True, slots=True)
class Decision:
    """One decision, immutable by convention: a frozen class takes 5 µs to fill, several times for each request.

    `action` is what to do; under a ban, `banned` is set and `action` is the ban's answer. `rule` is the rule's name; `reason` its
    `why`, for the operator only.
    """

    action: FinalAction
    rule: str
    reason: str
    score: float
    tags: frozenset[str]
    banned: bool
    quota: Quota | None
    shadow: tuple[ShadowHit, ...]
    quotas: tuple[Quota, ...]
    """The announced limits that were looked at, in order."""
    restriction: str
    """The name of the temporary restriction that decided, if one did."""
    ends: EndTime | None
    """When that restriction ends, or else when the announced limit that decided lets the client on."""

    def __init__(
        self,
        action: FinalAction,
        rule: str = DEFAULT_RULE,
        reason: str = "",
        score: float = 0.0,
        tags: frozenset[str] = frozenset(),
        banned: bool = False,  # noqa: FBT001, FBT002 - as a dataclass would have it
        quota: Quota | None = None,
        shadow: tuple[ShadowHit, ...] = (),
        quotas: tuple[Quota, ...] = (),
        restriction: str = "",
        ends: EndTime | None = None,
    ) -> None:
        self.action = action
        self.rule = rule
        self.reason = reason
        self.score = score
        self.tags = tags
        self.banned = banned
        self.quota = quota
        self.shadow = shadow
        self.quotas = quotas
        self.restriction = restriction
        self.ends = ends

    @property
    def name(self) -> str:
        """The action's name in YAML, log and metrics; `ban` for what a ban answered."""
        return "ban" if self.banned else ACTION_NAMES[type(self.action)]

    @property
    def forwards(self) -> bool:
        """Whether the request goes to the upstream (perhaps after a delay)."""
        return type(self.action) in FORWARDING

    @property
    def refuses(self) -> bool:
        """Whether the client is kept from what it asked for; `prove` only sends it there again, with a cookie."""
        return type(self.action) in _REFUSING


PASS_BY_DEFAULT: Final = Decision(action=PASS)


def recorded_only(decision: Decision) -> Decision:
    """What is left of a decision while nothing acts: the request passes, and its record says what would have been done.

    Limits are not announced meanwhile: a client that heeds them would hold itself back.
    """
    if decision.forwards and not isinstance(decision.action, Delay | Mask | Uniform):
        return replace(decision, quotas=()) if decision.quotas else decision
    hit = ShadowHit(decision.rule, decision.name)
    return replace(
        decision,
        action=PASS,
        rule=SWITCH_RULE,
        banned=False,
        quota=None,
        quotas=(),
        shadow=(*decision.shadow, hit),
        restriction="",
    )
