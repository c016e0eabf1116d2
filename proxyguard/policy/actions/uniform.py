"""`uniform`: forward, and answer the same whatever the site says."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.decision import Uniform
from proxyguard.core.problems import Fault, quoted
from proxyguard.core.yaml.kinds import Found, Key, KeyTable, Kind, duration, plain, prose
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_integer, read_text
from proxyguard.policy.actions.kind import ActionKind, Effect, options

MAX_BODY_CHARACTERS: Final = 16_384
MIN_GRID_SECONDS: Final = 0.02
MAX_GRID_SECONDS: Final = 30

STATUSES: Final = (200, 202, 303, 400, 401, 403, 404, 409, 422, 429)
"""Statuses of answers to forms."""

_EXAMPLE: Final = 'action: {uniform: {body: "If there is such an account, we have sent a message to it."}}'
_PATH: Final = re.compile(r"/(?![/\\])[!-~]*", re.ASCII)
_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]+(?:; ?charset=utf-8)?", re.ASCII)


def _read_type(node: Node, subject: str) -> str:
    text = read_text(node, subject, 100)
    if not _TYPE.fullmatch(text):
        raise Fault(f"{subject}: {quoted(text)} is not a content type", "text/html; charset=utf-8, or application/json")
    return text


def _read_status(node: Node, subject: str) -> int:
    status = read_integer(node, subject, 100, 599)
    if status not in STATUSES:
        raise Fault(f"uniform cannot answer with status {status}", f"allowed: {', '.join(map(str, STATUSES))}")
    return status


def _read_location(node: Node, subject: str) -> str:
    text = read_text(node, subject, 1024)
    if not _PATH.fullmatch(text):
        raise Fault(f"{subject}: {quoted(text)} is not a path of this site", "location: /check-your-mail")
    return text


OPTIONS: Final = KeyTable(
    subject="uniform",
    example=_EXAMPLE,
    meant={"time": "did you mean 'grid'?", "message": "did you mean 'body'?"},
    keys={
        "body": Key(prose(MAX_BODY_CHARACTERS), "The text of the answer.",
            required=("uniform has no body to answer with", _EXAMPLE), examples=("Please look into your mail.",)),
        "status": Key(Kind(plain(_read_status), "status", {"enum": list(STATUSES)}), "The status; 200 unless given."),
        "location": Key(Kind(plain(_read_location), "path", {"type": "string", "pattern": "^/"}),
            "The page of the site to go to, with status 303.", examples=("/check-your-mail",)),
        "content_type": Key(Kind(plain(_read_type), "content type", {"type": "string"}),
            "What the text is; text/html; charset=utf-8 unless given.", examples=("application/json",)),
        "grid": Key(duration(MIN_GRID_SECONDS, MAX_GRID_SECONDS),
            "When the answer goes out after the site got the request: longer than the site takes.", attribute="grid_seconds"),
    },
)  # fmt: skip


def _made(found: Found) -> Uniform:
    return Uniform(**found.attributes())


def _check(found: Found) -> None:
    if (found.get("status") == 303) is not ("location" in found.nodes):
        message = "status 303 and location belong together"
        found.complain("location", message, "status: 303, location: /check-your-mail")


ROW: Final = ActionKind(
    value=Uniform,
    effect=Effect.ALTER,
    about="Forward, throw the site's answer away, and answer the same at the same time whatever it was.",
    options=options(OPTIONS, _made, _check),
    example=_EXAMPLE,
    meant=("even", "same", "generic"),
    unjudged=lambda _: "what it would even out is missing here",
)
