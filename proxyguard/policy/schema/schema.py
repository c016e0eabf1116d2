"""The rule language as a JSON Schema (draft 7), for editors: completion, hover text, and faults while typing.

Built from the tables that the reader goes by, so that a key cannot be in one and not in the other. A schema cannot say all
that the reader checks (`proxyguard check` does): it accepts everything that the reader accepts, and refuses what it can.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.limits.limit import Missing, Window
from proxyguard.policy.model import Encoding
from proxyguard.policy.parse.actions import ACTIONS, BAN_KEYS, REFUSALS, REJECT_KEYS, STATUSES, TARPIT_KEYS
from proxyguard.policy.parse.classes import ACCOUNT_KEYS, CLASS_KEYS
from proxyguard.policy.parse.counts import COUNT_KEYS, COUNT_WORDS
from proxyguard.policy.parse.file import FILE_KEYS
from proxyguard.policy.parse.limits import LIMIT_KEYS
from proxyguard.policy.parse.restrictions import ALARM_KEYS, RESTRICTION_KEYS, ROLL_BACK_KEYS, SHED_KEYS
from proxyguard.policy.parse.rules import RULE_KEYS
from proxyguard.policy.parse.signed import DIGESTS, SIGNED_KEYS
from proxyguard.policy.parse.tests import DECISIONS, RESPONSE_KEYS, SKETCH_KEYS, STEP_KEYS, TEST_KEYS
from proxyguard.policy.schema.conditions import KEY_PART, SCALAR, TEXTS, Schema, condition_definitions
from proxyguard.policy.schema.descriptions import ACTION_WORDS, EXAMPLES, KEY_WORDS

SCHEMA_ID: Final = "http://json-schema.org/draft-07/schema#"

_NAME: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_DURATION: Final = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w)$"
_RATE: Final = r"^[0-9]+([KMG]iB|B|ms|s|m|h|d|w)?/(second|minute|hour|day|[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))$"


def policy_schema() -> Schema:
    """The JSON Schema of one rule file."""
    return {
        "$schema": SCHEMA_ID,
        "title": "proxyguard rule file",
        "description": "One rule set. `proxyguard check` finds what a schema cannot.",
        **_object("file", FILE_KEYS, _FILE, required=["name"]),
        "anyOf": [{"required": [key]} for key in ("rules", "restrictions", "tests", "account", "classes")],
        "definitions": _definitions(),
    }


def _definitions() -> Schema:
    return {
        **condition_definitions(),
        "action": _action(ACTIONS),
        "refusal": _action(REFUSALS),
        "limit": _object("limit", LIMIT_KEYS, _LIMIT, required=["rate"]),
        "count": {**_object("count", COUNT_KEYS, _COUNT), "minProperties": 1, "maxProperties": 1},
        "response": _object("response", RESPONSE_KEYS, _RESPONSE),
        "account": _object("account", ACCOUNT_KEYS, _ACCOUNT, required=["key", "class_header"]),
        "class": _object("class", CLASS_KEYS, _CLASS, required=["name", "when"]),
        "restriction": _object("restriction", RESTRICTION_KEYS, _RESTRICTION, required=["name", "why", "until"]),
        "signed": {"anyOf": [_VARIABLE, _object("signed", SIGNED_KEYS, _SIGNED, required=["secret"])]},
        "rule": {
            **_object("rule", RULE_KEYS, _RULE, required=["name", "action"]),
            "examples": [_EXAMPLE_RULE],
        },
        "test": {
            **_object("test", TEST_KEYS, _TEST),
            "anyOf": [{"required": ["request"]}, {"required": ["steps"]}],
        },
        "step": _object("test", STEP_KEYS, _TEST, required=["request"]),
        "request": _object("request", SKETCH_KEYS, _SKETCH),
        "duration": {"type": "string", "pattern": _DURATION, "examples": ["500ms", "30s", "5m", "1h", "7d"]},
    }


_SPAN: Final[Schema] = {"$ref": "#/definitions/duration"}
_KEBAB: Final[Schema] = {"type": ["string", "integer"], "pattern": _NAME, "maxLength": 64}
_TEXT: Final[Schema] = {"type": ["string", "number", "boolean"]}
_MODES: Final[Schema] = {"enum": [str(mode) for mode in Mode]}

_EXAMPLE_RULE: Final[Schema] = {
    "name": "sign-up-flood",
    "why": "No person signs up ten times a minute.",
    "when": {"method": "POST", "path": ["/signup"]},
    "limit": {"rate": "10/minute", "burst": 5, "per": ["client"]},
    "action": {"tarpit": {"hold": "60s"}},
}

_FILE: Final[Schema] = {
    "name": _KEBAB,
    "description": _TEXT,
    "mode": _MODES,
    "lists": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": _NAME},
        "additionalProperties": {
            "anyOf": [
                {"type": "array", "items": SCALAR, "minItems": 1},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string"}},
                    "required": ["file"],
                    "additionalProperties": False,
                },
            ]
        },
    },
    "account": {"$ref": "#/definitions/account"},
    "classes": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/class"}},
    "rules": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/rule"}},
    "restrictions": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/restriction"}},
    "tests": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/test"}},
}

_RULE: Final[Schema] = {
    "name": _KEBAB,
    "why": _TEXT,
    "when": {"$ref": "#/definitions/condition", "examples": [{"path": {"prefix": "/api/"}}]},
    "limit": {"$ref": "#/definitions/limit", "examples": [{"rate": "10/minute", "per": ["client"]}]},
    "action": {"$ref": "#/definitions/action", "examples": ["reject", {"reject": {"status": 404}}, {"score": 40}]},
    "mode": _MODES,
    "expires": {"type": "string", "examples": ["2026-07-01", "2026-07-01T18:00Z"]},
}

_ACCOUNT: Final[Schema] = {
    "key": {"type": "string", "pattern": r"^(header|cookie)\..+$", "examples": ["cookie.session"]},
    "class_header": {"type": "string", "examples": ["x-account-class"]},
    "remember": _SPAN,
}

_CLASS: Final[Schema] = {
    "name": _KEBAB,
    "when": {"$ref": "#/definitions/condition", "examples": [{"account": "present"}]},
}

_VARIABLE: Final[Schema] = {"type": "string", "pattern": "^[A-Z_][A-Z0-9_]*$", "examples": ["SESSION_SECRET"]}

_SIGNED: Final[Schema] = {
    "secret": _VARIABLE,
    "separator": {**_TEXT, "examples": ["."]},
    "digest": {"enum": list(DIGESTS)},
    "encoding": {"enum": [str(encoding) for encoding in Encoding]},
    "prefix": {**_TEXT, "examples": ["Bearer "]},
}

_STATUS: Final[Schema] = {
    "type": ["string", "integer"],
    "pattern": "^[2-5]([0-9][0-9]|xx)$",
    "minimum": 200,
    "maximum": 599,
}

_COUNT: Final[Schema] = {
    "status": {"anyOf": [_STATUS, {"type": "array", "minItems": 1, "items": _STATUS}]},
    "distinct": KEY_PART,
}

_RESPONSE: Final[Schema] = {
    "status": {"type": "integer", "minimum": 200, "maximum": 599},
    "bytes": {"type": ["string", "integer"]},
    "seconds": {"type": "number", "minimum": 0},
}

_LIMIT: Final[Schema] = {
    "rate": {"type": "string", "pattern": _RATE, "examples": ["10/minute", "300/hour", "20/90s"]},
    "count": {
        "anyOf": [
            {"enum": list(COUNT_WORDS)},
            {"$ref": "#/definitions/count"},
        ],
        "examples": [{"status": [404]}, {"distinct": "path"}, "bytes"],
    },
    "burst": {"type": ["string", "integer"], "minimum": 1, "examples": [5]},
    "window": {"enum": [str(window) for window in Window]},
    "time_zone": {"type": "string", "examples": ["Europe/Berlin"]},
    "per": {
        "anyOf": [KEY_PART, {"type": "array", "minItems": 1, "items": KEY_PART}],
        "examples": [["client"], ["site"]],
    },
    "missing": {"enum": [str(missing) for missing in Missing]},
    "announce": {"type": "boolean"},
}

_OPTIONS: Final[dict[str, Schema]] = {
    "reject": {
        "status": {"enum": list(STATUSES)},
        "message": {**_TEXT, "examples": ["Automated access needs an API key."]},
        "retry_after": _SPAN,
    },
    "tarpit": {"hold": _SPAN, "drip": _SPAN, "drip_bytes": {"type": "integer", "minimum": 1}},
    "ban": {
        "for": _SPAN,
        "escalation": {"type": "number", "minimum": 1, "examples": [2]},
        "max": _SPAN,
        "forget": _SPAN,
        "then": {"$ref": "#/definitions/refusal"},
    },
}

_TEST: Final[Schema] = {
    "name": _TEXT,
    "during": {"anyOf": [_KEBAB, {"type": "array", "items": _KEBAB}]},
    "request": {"$ref": "#/definitions/request"},
    "response": {"$ref": "#/definitions/response"},
    "repeat": {"type": "integer", "minimum": 1},
    "within": _SPAN,
    "expect": {
        "anyOf": [
            {"type": "string", "pattern": rf"^({'|'.join(DECISIONS)})(\s+by\s+\S+)?$"},
            {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": False,
                "properties": {
                    "action": {"enum": list(DECISIONS), "description": KEY_WORDS["expect.action"]},
                    "rule": {**_TEXT, "description": KEY_WORDS["expect.rule"]},
                    "status": {"type": "integer", "description": KEY_WORDS["expect.status"]},
                    "score": {"type": "number", "description": KEY_WORDS["expect.score"]},
                },
            },
        ],
        "examples": ["reject by scripted-clients", "pass by default", {"status": 429}],
    },
    "then": {
        "anyOf": [
            {"$ref": "#/definitions/step"},
            {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/step"}},
        ]
    },
    "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/step"}},
}

_SKETCH: Final[Schema] = {
    **{key: _TEXT for key in SKETCH_KEYS if key not in ("headers", "cookies")},
    "headers": {"type": "object", "additionalProperties": TEXTS},
    "cookies": {"type": "object", "additionalProperties": TEXTS},
}


def _examples(key: str) -> Schema:
    return {"examples": EXAMPLES[key]} if key in EXAMPLES else {}


def _object(subject: str, keys: tuple[str, ...], values: Schema, required: list[str] | None = None) -> Schema:
    """An object with exactly these keys; a key without a value or a description is a KeyError at once."""
    properties = {
        key: {**values[key], "description": KEY_WORDS[f"{subject}.{key}"], **_examples(f"{subject}.{key}")}
        for key in keys
    }
    whole: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return whole | ({"required": required} if required else {})


_MOMENT: Final[Schema] = {"type": "string", "examples": ["2026-07-08", "2026-07-08T18:00Z"]}
_RATE_TEXT: Final[Schema] = {"type": "string", "pattern": _RATE, "examples": ["300/day"]}
_PERCENT: Final[Schema] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s?%$", "examples": ["5%"]}

_RESTRICTION: Final[Schema] = {
    "name": _KEBAB,
    "why": _TEXT,
    "when": {"$ref": "#/definitions/condition", "examples": [{"path": {"prefix": "/posts/"}}]},
    "classes": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": _NAME},
        "additionalProperties": {"anyOf": [_RATE_TEXT, {"$ref": "#/definitions/limit"}]},
        "examples": [{"anonymous": "300/day", "signed-in": "6000/day"}],
    },
    "per": _LIMIT["per"],
    "from": _MOMENT,
    "until": _MOMENT,
    "status": {"enum": list(STATUSES)},
    "mode": _MODES,
    "standby": {"type": "boolean"},
    "start_when": _object(
        "alarm",
        ALARM_KEYS,
        {"site_rate": _RATE_TEXT, "upstream_p95": _SPAN, "upstream_errors": _PERCENT, "for": _SPAN},
    ),
    "hold": _SPAN,
    "roll_back": _object("rollback", ROLL_BACK_KEYS, {"class": _KEBAB, "share": _PERCENT}, required=["class", "share"]),
    "shed": {
        "anyOf": [
            {"enum": [True]},
            _object(
                "shed",
                SHED_KEYS,
                {
                    "every": _SPAN,
                    "suspected": {"type": "number"},
                    "steps": {"type": "array", "minItems": 1, "items": _KEBAB},
                },
            ),
        ]
    },
}


def _action(names: tuple[str, ...]) -> Schema:
    short = [name for name in names if name in ("allow", "pass", "reject", "tarpit", "drop")]
    properties: Schema = {}
    for name in names:
        if name in _OPTIONS:
            keys = {"reject": REJECT_KEYS, "tarpit": TARPIT_KEYS, "ban": BAN_KEYS}[name]
            value = _object(name, keys, _OPTIONS[name], required=["for"] if name == "ban" else None)
        elif name == "delay":
            value = _SPAN
        elif name == "score":
            value = {"type": "number", "examples": [40]}
        elif name == "tag":
            value = _KEBAB
        else:
            value = {"type": "object", "maxProperties": 0}
        properties[name] = {**value, "description": ACTION_WORDS[name]}
    words = " ".join(f"`{name}`: {ACTION_WORDS[name]}" for name in short)
    one: Schema = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False}
    return {"anyOf": [{"enum": short, "description": words}, {**one, "properties": properties}]}
