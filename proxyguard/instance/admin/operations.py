"""The operations of the API, one row each: the command behind it, who may, what it takes and gives. The rest is made of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, Literal, NamedTuple

from proxyguard.instance.admin import messages, order_bodies
from proxyguard.instance.admin.access import Right

ROOT: Final = "/api/v1"


class Parameter(NamedTuple):
    """A parameter of the query, or a part of the path. `pattern` is what it must match whole."""

    name: str
    place: Literal["query", "path"]
    about: str
    pattern: str
    default: str | None = None
    choices: tuple[str, ...] = ()


class ApiOperation(NamedTuple):
    """One operation. `command` is that of the control socket; `status` and those of `handlers` stand for themselves."""

    name: str
    method: Literal["GET", "POST"]
    path: str
    about: str
    command: str
    answer: type[messages.ApiAnswer]
    right: Right = Right.READ
    body: type[order_bodies.ApiBody] | None = None
    parameters: tuple[Parameter, ...] = ()
    refused: HTTPStatus = HTTPStatus.CONFLICT
    """What is answered when the command cannot be carried out."""


WINDOWS: Final = ("minute", "hour", "day")

OPERATIONS: Final = (
    ApiOperation("status", "GET", "/status", "The state of the instance.", "status", messages.ApiStatus),
    ApiOperation(
        "top", "GET", "/top", "Who talks most, and the requests of each minute.", "top", messages.ApiTop,
        parameters=(Parameter("window", "query", "How far to look back.", "minute|hour|day", "minute", WINDOWS),),
    ),
    ApiOperation("listRules", "GET", "/rules", "The rules of files, in their order.", "rules-list", messages.ApiRules),
    ApiOperation(
        "shadowReport", "GET", "/shadow", "What shadow rules would have stopped.", "shadow-report", messages.ApiShadow,
    ),
    ApiOperation(
        "listRestrictions", "GET", "/restrictions", "Temporary restrictions, and when they end.", "restrictions-list",
        messages.ApiRestrictions,
    ),
    ApiOperation(
        "listCampaigns", "GET", "/campaigns", "What looks like a campaign against items.", "campaigns-list",
        messages.ApiCampaigns,
    ),
    ApiOperation(
        "previewEmergency", "GET", "/emergency", "Whom emergency mode touches, or would.", "emergency-preview",
        messages.ApiEmergency,
    ),
    ApiOperation("listBans", "GET", "/bans", "The bans in force, at most 500 of them.", "bans-list", messages.ApiBans),
    ApiOperation("listChanges", "GET", "/changes", "The last orders given to the instance.", "changes", messages.ApiChanges),
    ApiOperation(
        "lookUp", "GET", "/references/{reference}", "The decision that a refused visitor's reference stands for.",
        "explain-reference", messages.ApiFound,
        parameters=(
            Parameter("reference", "path", "As it stands on the page of a refusal.", "[0-9A-Za-z_.:-]{1,128}"),
        ),
        refused=HTTPStatus.NOT_FOUND,
    ),
    ApiOperation(
        "ban", "POST", "/bans", "Ban an address, a network, a pseudonym or a value.", "bans-add", messages.ApiDone, Right.WRITE,
        order_bodies.ApiBanBody,
    ),
    ApiOperation(
        "liftBan", "POST", "/bans/lift", "Lift a ban.", "bans-remove", messages.ApiDone, Right.WRITE, order_bodies.ApiUnbanBody,
    ),
    ApiOperation(
        "switchOn", "POST", "/shadow/on", "The panic switch: everything is decided and recorded, nothing acts.", "shadow-on",
        messages.ApiDone, Right.WRITE, order_bodies.ApiSwitchBody,
    ),
    ApiOperation(
        "switchOff", "POST", "/shadow/off", "Rules act again.", "shadow-off", messages.ApiDone, Right.WRITE,
        order_bodies.ApiNoBody,
    ),
    ApiOperation(
        "pause", "POST", "/rules/pause", "Have rules only record for a while.", "pause", messages.ApiDone, Right.WRITE,
        order_bodies.ApiPauseBody,
    ),
    ApiOperation(
        "resume", "POST", "/rules/resume", "Have paused rules act again.", "resume", messages.ApiDone, Right.WRITE,
        order_bodies.ApiResumeBody,
    ),
    ApiOperation(
        "promote", "POST", "/rules/promote", "Let a shadow rule act, or say (`dry_run`) whether it would be let.", "promote",
        messages.ApiDone, Right.WRITE, order_bodies.ApiPromoteBody,
    ),
    ApiOperation(
        "demote", "POST", "/rules/demote", "Put a rule back into shadow.", "demote", messages.ApiDone, Right.WRITE,
        order_bodies.ApiRuleBody,
    ),
    ApiOperation(
        "startRestriction", "POST", "/restrictions/start", "Start a restriction.", "restrictions-start", messages.ApiDone,
        Right.WRITE, order_bodies.ApiStartBody,
    ),
    ApiOperation(
        "endRestriction", "POST", "/restrictions/end", "End a restriction.", "restrictions-end", messages.ApiDone, Right.WRITE,
        order_bodies.ApiEndBody,
    ),
    ApiOperation(
        "reload", "POST", "/reload", "Read rules and settings again.", "reload", messages.ApiDone, Right.WRITE,
        order_bodies.ApiNoBody,
    ),
)  # fmt: skip

PATHS: Final[dict[str, dict[str, ApiOperation]]] = {}
"""By path and method."""
for _operation in OPERATIONS:
    PATHS.setdefault(_operation.path, {})[_operation.method] = _operation


def question(operation: ApiOperation, given: dict[str, str]) -> dict[str, Any]:
    """The arguments of a reading command: what was given, or the default."""
    return {each.name: given.get(each.name, each.default) for each in operation.parameters}
