"""The part of the JSON Schema that is about conditions and keys of limits: built from the registry of fields."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.yaml.kinds import TEXT_SCHEMA, Schema, size
from proxyguard.policy.fields.field_type import NUMBERS, FieldType, NamedValues
from proxyguard.policy.fields.registry import field_types, key_kinds, named_values, takes_no_name
from proxyguard.policy.parse.conditions import MAX_SIZE
from proxyguard.policy.parse.contains_any import CONTAINS_ANY
from proxyguard.policy.parse.own_forms import OWN_FORMS

_MATCHER_WORDS: Final = {
    "in": "Equal to one of these texts; what a plain list means.",
    "prefix": "Begins with one of these texts.",
    "suffix": "Ends with one of these texts.",
    "contains": "Has one of these texts anywhere. For names of programs, `word` is safer.",
    "contains_any": "Has one of these texts anywhere; for long lists: `{file: lists/NAME.txt, ignore_case: true}`.",
    "word": "Has one of these texts as a whole word, upper or lower case: `curl` matches `curl/8.5.0` and not `xcurly`.",
    "glob": "Matches one of these patterns as a whole: `*` is any run of characters, `?` is one.",
    "regex": "Matches one of these RE2 patterns anywhere; anchor with ^ and $. Use single quotes.",
    "at_least": "Is a number of at least this.",
    "at_most": "Is a number of at most this.",
    "signed": "Ends with a signature (HMAC) made with the secret in an environment variable.",
    "not": "The rest does not hold. Of a field that is missing, that is true.",
}

_MATCHER_EXAMPLES: Final[dict[str, list[Any]]] = {
    "in": [["/robots.txt", "/favicon.ico"]],
    "prefix": ["/api/", ["/api/", "/feeds/"]],
    "suffix": [".example.org", [".css", ".js"]],
    "contains": ["/wp-admin/"],
    "contains_any": [{"file": "lists/names.txt", "ignore_case": True}, ["scrapy", "$names"]],
    "word": ["curl", ["GPTBot", "CCBot"], "$names"],
    "glob": ["/download/*.zip"],
    "regex": [r"^/user/\d+$", r"(?i)\bChrome/\d+"],
    "at_least": [60],
    "at_most": [10],
}

_SIZE: Final = size(0, MAX_SIZE)
_TEXTS: Final[Schema] = {"$ref": "#/definitions/texts"}

_MATCHER_VALUES: Final[dict[str, Schema]] = {
    "contains_any": {"anyOf": [_TEXTS, CONTAINS_ANY.schema()]},
    "at_least": {"type": "number"},
    "at_most": {"type": "number"},
    "signed": {"$ref": "#/definitions/signed"},
}


def condition_definitions() -> Schema:
    """`condition`, a matcher for each field, and what they are made of."""
    fields: Schema = {"any": _conditions("At least one must hold."), "all": _conditions("All must hold.")}
    fields["not"] = {"$ref": "#/definitions/condition", "description": "Must not hold."}
    patterns: Schema = {}
    for kind, field in field_types().items():
        ref = {"$ref": f"#/definitions/matcher_{kind}", "description": field.description}
        fields[kind] = ref
        if named_values(kind):
            patterns[f"^{kind}\\..+$"] = ref
            group: Schema = {"type": "object", "minProperties": 1, "additionalProperties": ref}
            if isinstance(field.source, NamedValues) and field.source.whole is not None:
                words = {name: matcher for name, matcher in _properties(field).items() if name not in NUMBERS}
                group = {"anyOf": [TEXT_SCHEMA, _any_of(group), group | {"properties": words}]}
            fields[kind] = {**group, "description": field.description}
    condition: Schema = {"type": "object", "additionalProperties": False, "minProperties": 1}
    return {
        "condition": condition | {"properties": fields, "patternProperties": patterns},
        **{f"matcher_{kind}": _matcher(field) for kind, field in field_types().items()},
        "scalar": TEXT_SCHEMA,
        "texts": {"anyOf": [TEXT_SCHEMA, {"type": "array", "items": TEXT_SCHEMA, "minItems": 1}]},
        "key_part": _key_part(),
    }


def _conditions(description: str) -> Schema:
    return {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/condition"}, "description": description}


def _any_of(mapping: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": {"anyOf": [TEXT_SCHEMA, mapping]}}


def _properties(field: FieldType) -> Schema:
    properties: Schema = {}
    for name in field.matchers:
        own = {"$ref": f"#/definitions/matcher_{field.kind}"} if name == "not" else _MATCHER_VALUES.get(name, _TEXTS)
        examples = {"examples": _MATCHER_EXAMPLES[name]} if name in _MATCHER_EXAMPLES else {}
        if field.has_sizes and name in NUMBERS:
            own, examples = _SIZE.schema, {"examples": ["1MiB"]}
        properties[name] = {**own, "description": _MATCHER_WORDS[name], **examples}
    return properties


def _matcher(field: FieldType) -> Schema:
    if field.kind in OWN_FORMS:
        return OWN_FORMS[field.kind].schema
    mapping: Schema = {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": _properties(field)}
    if "in" not in field.matchers:
        return mapping
    return {"anyOf": [TEXT_SCHEMA, _any_of(mapping), mapping]}


def _key_part() -> Schema:
    named = [kind for kind in key_kinds() if named_values(kind)]
    return {
        "anyOf": [
            {"enum": [kind for kind in key_kinds() if kind not in named or takes_no_name(kind)]},
            {"type": "string", "pattern": rf"^({'|'.join(named)})\..+$"},
        ]
    }
