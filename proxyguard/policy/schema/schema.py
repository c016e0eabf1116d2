"""The rule language as a JSON Schema (draft 7), for editors: completion, hover text, and faults while typing.

Built from the tables that the reader goes by, so that a key cannot be in one and not in the other. A schema cannot say all
that the reader checks (`proxyguard check` does): it accepts everything that the reader accepts, and refuses what it can.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.yaml.kinds import TEXT_SCHEMA, Schema
from proxyguard.policy.actions.ban import REFUSALS
from proxyguard.policy.actions.reading import action_schema
from proxyguard.policy.actions.registry import ACTIONS
from proxyguard.policy.model import Encoding, FieldKind
from proxyguard.policy.parse.classes import ACCOUNT, CLASS
from proxyguard.policy.parse.conditions import MATCHERS
from proxyguard.policy.parse.file import CONTENT, FILE
from proxyguard.policy.parse.limits import LIMIT
from proxyguard.policy.parse.restrictions import RESTRICTION
from proxyguard.policy.parse.rules import RULE
from proxyguard.policy.parse.signed import DIGESTS, SIGNED_KEYS
from proxyguard.policy.parse.tests import REQUEST, RESPONSE, STEP, TEST
from proxyguard.policy.parse.texts import NAMED
from proxyguard.policy.schema.descriptions import EXAMPLES, FIELD_WORDS, KEY_WORDS, MATCHER_WORDS

SCHEMA_ID: Final = "http://json-schema.org/draft-07/schema#"


def policy_schema() -> Schema:
    """The JSON Schema of one rule file."""
    return {
        "$schema": SCHEMA_ID,
        "title": "proxyguard rule file",
        "description": "One rule set. `proxyguard check` finds what a schema cannot.",
        **FILE.schema(),
        "anyOf": [{"required": [key]} for key in CONTENT],
        "definitions": _definitions(),
    }


def _definitions() -> Schema:
    condition: Schema = {"type": "object", "additionalProperties": False, "minProperties": 1}
    fields: Schema = {"any": _conditions("At least one must hold."), "all": _conditions("All must hold.")}
    fields["not"] = {"$ref": "#/definitions/condition", "description": "Must not hold."}
    patterns: Schema = {}
    matchers: Schema = {}
    for kind in FieldKind:
        matchers[f"matcher_{kind}"] = _matcher(kind)
        ref = {"$ref": f"#/definitions/matcher_{kind}", "description": FIELD_WORDS[kind]}
        if kind in NAMED:
            patterns[f"^{kind}\\..+$"] = ref
            group = {"type": "object", "minProperties": 1, "additionalProperties": ref}
            fields[str(kind)] = {**group, "description": FIELD_WORDS[kind]}
        else:
            fields[str(kind)] = ref
    condition |= {"properties": fields, "patternProperties": patterns}
    return {
        "condition": condition,
        **matchers,
        "action": action_schema(ACTIONS),
        "refusal": action_schema(REFUSALS),
        "limit": LIMIT.schema(),
        "response": RESPONSE.schema(),
        "account": ACCOUNT.schema(),
        "class": CLASS.schema(),
        "restriction": RESTRICTION.schema(),
        "signed": {"anyOf": [_VARIABLE, _object("signed", SIGNED_KEYS, _SIGNED, required=["secret"])]},
        "rule": RULE.schema(examples=[_EXAMPLE_RULE]),
        "test": TEST.schema(anyOf=[{"required": ["request"]}, {"required": ["steps"]}]),
        "step": STEP.schema(),
        "request": REQUEST.schema(),
        "scalar": _SCALAR,
        "texts": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]},
    }


_SCALAR: Final[Schema] = TEXT_SCHEMA
_TEXT: Final[Schema] = TEXT_SCHEMA
_TEXTS: Final[Schema] = {"$ref": "#/definitions/texts"}

_EXAMPLE_RULE: Final[Schema] = {
    "name": "sign-up-flood",
    "why": "No person signs up ten times a minute.",
    "when": {"method": "POST", "path": ["/signup"]},
    "limit": {"rate": "10/minute", "burst": 5, "per": ["client"]},
    "action": {"tarpit": {"hold": "60s"}},
}

_VARIABLE: Final[Schema] = {"type": "string", "pattern": "^[A-Z_][A-Z0-9_]*$", "examples": ["SESSION_SECRET"]}

_SIGNED: Final[Schema] = {
    "secret": _VARIABLE,
    "separator": {**_TEXT, "examples": ["."]},
    "digest": {"enum": list(DIGESTS)},
    "encoding": {"enum": [str(encoding) for encoding in Encoding]},
    "prefix": {**_TEXT, "examples": ["Bearer "]},
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


def _conditions(description: str) -> Schema:
    return {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/condition"}, "description": description}


_MATCHER_VALUES: Final[dict[str, Schema]] = {
    "at_least": {"type": "number"},
    "at_most": {"type": "number"},
    "signed": {"$ref": "#/definitions/signed"},
}


def _matcher(kind: FieldKind) -> Schema:
    own = {"$ref": f"#/definitions/matcher_{kind}"}
    properties: Schema = {}
    for name in MATCHERS[kind]:
        value = own if name == "not" else _MATCHER_VALUES.get(name, _TEXTS)
        properties[name] = {**value, "description": MATCHER_WORDS[name], **_examples(f"matcher.{name}")}
    mapping: Schema = {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": properties}
    if kind is FieldKind.SCORE:
        return mapping
    return {"anyOf": [_SCALAR, {"type": "array", "minItems": 1, "items": {"anyOf": [_SCALAR, mapping]}}, mapping]}
