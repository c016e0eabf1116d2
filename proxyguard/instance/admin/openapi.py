"""The OpenAPI 3.1 document of the API, made of the rows of `operations` and the types of `messages`."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from proxyguard.instance.admin import messages
from proxyguard.instance.admin.access import Right
from proxyguard.instance.admin.operations import OPERATIONS, ROOT, ApiOperation

REFERENCE: Final = "#/components/schemas/{name}"

REFUSALS: Final = {
    "400": "The body, a parameter or a header is not as described.",
    "401": "No token, or a wrong one.",
    "403": "The token may only read.",
    "404": "There is none, or it cannot be found out; `detail` says why.",
    "405": "No such method here.",
    "409": "The command cannot be carried out as things are; `detail` says why, and what to do.",
    "413": "The body is too large.",
    "415": "The body is not `application/json`.",
    "421": "The port has no such name (`admin_hosts`).",
    "429": "Too many requests at once; `Retry-After` says when to come again.",
    "503": "The instance is starting or stopping, or all streams are taken.",
}


def document(version: str) -> dict[str, Any]:
    """The document. `version` is that of the program; the API's own is in its path."""
    types = [*dict.fromkeys([messages.ApiProblem, messages.ApiRights, messages.ApiEvents, *_types()])]
    _, schemas = msgspec.json.schema_components(types, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(ROOT + operation.path, {})[operation.method.lower()] = _described(operation)
    paths[f"{ROOT}/session"] = {"get": _get("session", "What the caller may do.", _json(messages.ApiRights))}
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    about = "Decisions as they are made (server-sent events). The data of each `records` event is an `ApiEvents`."
    paths[f"{ROOT}/events"] = {"get": _get("events", about, stream)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "proxyguard",
            "version": version,
            "summary": "What `proxyguard` commands say of a running instance, and what they have it do.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "../.."}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _types() -> list[type[msgspec.Struct]]:
    bodies = [operation.body for operation in OPERATIONS if operation.body is not None]
    return [*(operation.answer for operation in OPERATIONS), *bodies]


def _described(operation: ApiOperation) -> dict[str, Any]:
    made = _get(operation.name, operation.about, _json(operation.answer), f"As `{operation.command}` of the control socket.")
    if operation.parameters:
        made["parameters"] = [
            {
                "name": each.name,
                "in": each.place,
                "required": each.place == "path",
                "description": each.about,
                "schema": {"type": "string", "enum": list(each.choices), "default": each.default}
                if each.choices
                else {"type": "string", "pattern": f"^({each.pattern})$"},
            }
            for each in operation.parameters
        ]
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": _json(operation.body)}
    if operation.right is Right.WRITE:
        made["security"] = [{"token": []}]
    return made


def _get(name: str, about: str, content: dict[str, Any], more: str = "") -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": REFERENCE.format(name="ApiProblem")}}}
    return {
        "operationId": name,
        "summary": about,
        **({"description": more} if more else {}),
        "responses": {
            "200": {"description": about, "content": content},
            **{status: {"description": why, "content": problem} for status, why in REFUSALS.items()},
        },
    }


def _json(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(name=kind.__name__)}}}
