"""The types of what orders to the API carry: bodies are checked against them, the OpenAPI document is made of them.

A field is added here and never renamed or removed within a version, whatever becomes of the commands behind.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from proxyguard.instance.control.commands import MAX_BAN_SECONDS, MAX_NOTE_CHARACTERS
from proxyguard.instance.control.promotion import MAX_SHARE, WATCH_SECONDS
from proxyguard.restrictions.pauses import DEFAULT_SECONDS, MAX_SECONDS, MAX_WHY_CHARACTERS

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Seconds = Annotated[float, Meta(description="Unix seconds, UTC.")]
Why = Annotated[str, Meta(max_length=MAX_WHY_CHARACTERS)]
By = Annotated[str, Meta(max_length=64, description="Who orders it, for status and log.")]
PauseSeconds = Annotated[float, Meta(ge=1, le=MAX_SECONDS)]
Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=300,
        description="An address, a network, a pseudonym (`c-…`), a value (`header.NAME=VALUE`), or a key as the list shows it.",
    ),
]


class ApiBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """What an order carries."""


class ApiBanBody(ApiBody):
    """A ban."""

    key: Key
    seconds: Annotated[float, Meta(gt=0, le=MAX_BAN_SECONDS)]
    then: Literal["reject", "tarpit", "drop"] = "reject"
    note: Annotated[str, Meta(max_length=MAX_NOTE_CHARACTERS)] = ""


class ApiUnbanBody(ApiBody):
    """Whose ban is lifted."""

    key: Key


class ApiSwitchBody(ApiBody):
    """The panic switch."""

    seconds: PauseSeconds = DEFAULT_SECONDS
    why: Why = ""
    by: By = "dashboard"


class ApiPauseBody(ApiBody):
    """ApiRules that only record for a while."""

    rules: Annotated[list[Name], Meta(min_length=1, max_length=100)]
    seconds: PauseSeconds = DEFAULT_SECONDS
    why: Why = ""
    by: By = "dashboard"


class ApiResumeBody(ApiBody):
    """ApiRules that act again."""

    rules: Annotated[list[Name], Meta(min_length=1, max_length=100)]


class ApiPromoteBody(ApiBody):
    """A shadow rule that is to act, or (`dry_run`) whether it would be let."""

    rule: Name
    max_share: Annotated[float, Meta(ge=0, le=1)] = MAX_SHARE
    watch_seconds: Annotated[float, Meta(ge=0, le=2_592_000)] = WATCH_SECONDS
    force: bool = False
    dry_run: bool = False


class ApiRuleBody(ApiBody):
    """One rule."""

    rule: Name


class ApiStartBody(ApiBody):
    """A restriction: one of a file by its name, or one given here by the limits of classes."""

    name: Name
    until: Seconds | None = None
    why: Annotated[str, Meta(max_length=1000)] = ""
    classes: Annotated[dict[str, str], Meta(max_length=50)] = {}
    path_prefix: Annotated[str, Meta(max_length=1000)] = ""


class ApiEndBody(ApiBody):
    """A restriction that is to end."""

    name: Name


class ApiNoBody(ApiBody):
    """An empty object."""
