"""The rule language as a JSON Schema (draft 7), for editors: completion, hover text, and faults while typing.

Built from the tables that the reader goes by, so that a key cannot be in one and not in the other. A schema cannot say all
that the reader checks (`proxyguard check` does): it accepts everything that the reader accepts, and refuses what it can.
"""

from __future__ import annotations

from typing import Any, Final

from proxyguard.decision import Mode
from proxyguard.limits.limit import KeyKind, Missing, Window
from proxyguard.policy.model import Encoding, FieldKind
from proxyguard.policy.parse import FILE_KEYS, RULE_KEYS
from proxyguard.policy.parse_actions import ACTIONS, BAN_KEYS, REFUSALS, REJECT_KEYS, STATUSES, TARPIT_KEYS
from proxyguard.policy.parse_classes import ACCOUNT_KEYS, CLASS_KEYS
from proxyguard.policy.parse_conditions import MATCHERS
from proxyguard.policy.parse_counts import COUNT_KEYS, COUNT_WORDS
from proxyguard.policy.parse_keys import NAMED_PARTS
from proxyguard.policy.parse_limits import LIMIT_KEYS
from proxyguard.policy.parse_restrictions import ALARM_KEYS, RESTRICTION_KEYS, ROLL_BACK_KEYS, SHED_KEYS
from proxyguard.policy.parse_signed import DIGESTS, SIGNED_KEYS
from proxyguard.policy.parse_tests import DECISIONS, RESPONSE_KEYS, SKETCH_KEYS, STEP_KEYS, TEST_KEYS
from proxyguard.policy.parse_texts import NAMED

type Schema = dict[str, Any]

SCHEMA_ID: Final = "http://json-schema.org/draft-07/schema#"

_NAME: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_DURATION: Final = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w)$"
_RATE: Final = r"^[0-9]+([KMG]iB|B|ms|s|m|h|d|w)?/(second|minute|hour|day|[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))$"

MATCHER_WORDS: Final = {
    "in": "Equal to one of these texts; what a plain list means.",
    "prefix": "Begins with one of these texts.",
    "suffix": "Ends with one of these texts.",
    "contains": "Has one of these texts anywhere. For names of programs, `word` is safer.",
    "word": "Has one of these texts as a whole word, upper or lower case: `curl` matches `curl/8.5.0` and not `xcurly`.",
    "glob": "Matches one of these patterns as a whole: `*` is any run of characters, `?` is one.",
    "regex": "Matches one of these RE2 patterns anywhere; anchor with ^ and $. Use single quotes.",
    "at_least": "Is a number of at least this.",
    "at_most": "Is a number of at most this.",
    "signed": "Ends with a signature (HMAC) made with the secret in an environment variable.",
    "not": "The rest does not hold. Of a field that is missing, that is true.",
}

FIELD_WORDS: Final = {
    FieldKind.CLIENT: "The client's address: addresses, networks, `$list`.",
    FieldKind.HOST: "The host asked for, lower case, without the port.",
    FieldKind.SCHEME: "`http` or `https`.",
    FieldKind.METHOD: "The method, upper case.",
    FieldKind.PATH: "The path: percent-decoded, runs of slashes merged, without the query.",
    FieldKind.QUERY: "Query parameters, decoded: `query: {page: present}` or `query.page: present`.",
    FieldKind.HEADER: "Headers, names in any case: `header: {referer: absent}` or `header.referer: absent`.",
    FieldKind.COOKIE: "Cookies: `cookie: {session: present}` or `cookie.session: present`.",
    FieldKind.USER_AGENT: "The User-Agent header. For names of programs use `word`.",
    FieldKind.HTTP_VERSION: "1.0, 1.1, 2 or 3.",
    FieldKind.SCORE: "The points collected by the rules before this one.",
    FieldKind.TAG: "The tags attached by the rules before this one.",
    FieldKind.CLASS: "The class of the client, as `classes` define it; `anonymous` when it is in none.",
    FieldKind.ACCOUNT: "What the site said of the session's account; absent when it said nothing. Needs `account`.",
}

ACTION_WORDS: Final = {
    "allow": "Forward, whatever any rule, ban or limit says. Allow rules are looked at first.",
    "pass": "Forward, and look at no later rule.",
    "reject": "Answer at once: 429 with Retry-After when a limit decided, else 403.",
    "tarpit": "Answer slowly, a few bytes at a time, and hold the connection.",
    "delay": "Forward after a wait.",
    "drop": "Close the connection without an answer.",
    "ban": "Refuse the client (or the limit's key) from now on, for a time.",
    "score": "Add points and go on to the next rule.",
    "tag": "Attach a tag and go on to the next rule.",
}

KEY_WORDS: Final = {
    "file.name": "The name of the rule set: lower-case letters, digits and hyphens.",
    "file.description": "What the rule set is for, for those who read it next.",
    "file.mode": "The most that any rule of this file may do: `enforce`, `shadow` (record, never act) or `off`.",
    "file.lists": "Lists of addresses or texts, used as `$name`: inline, or `{file: lists/NAME.txt}` with one entry a line.",
    "file.account": "How the site says whose session it is: by a response header, remembered for a cookie or header.",
    "file.classes": "Classes of clients; a request is of the first whose condition holds, else `anonymous`. In one file only.",
    "account.key": "What identifies a session: `cookie.NAME` or `header.NAME`. Kept as a keyed hash only.",
    "account.class_header": "The response header by which the site says what the account is. Clients never see or send it.",
    "account.remember": "How long it is believed; an hour unless given.",
    "class.name": "The name of the class; it becomes a metric label.",
    "class.when": "What makes a client one of this class.",
    "signed.secret": "The environment variable that holds the secret, or with _FILE behind its name the path of a file.",
    "signed.separator": "What stands between the value and its signature; `.` unless given.",
    "signed.digest": "The hash of the HMAC; sha256 unless given.",
    "signed.encoding": "How the signature is written: base64url unless given.",
    "signed.prefix": "What the value must begin with, and is not signed: `'Bearer '`.",
    "file.rules": "The rules, in order.",
    "file.restrictions": "Temporary restrictions by class. Each says why, and must end.",
    "restriction.name": "The name of the restriction; its rules are called NAME-CLASS.",
    "restriction.why": "What those whom it stops read on the page.",
    "restriction.when": "Which requests it is about. Left out: all.",
    "restriction.classes": "The limit of each class: `anonymous: 300/day`. Classes that are not named are not limited.",
    "restriction.per": "What is counted separately; by account where accounts are known, else by client, unless given.",
    "restriction.from": "The day (00:00 UTC) or time from which on it is in force; at once unless given.",
    "restriction.until": "The day (00:00 UTC) or time at which it ends by itself. Required.",
    "restriction.status": "The status of the answer; 429 unless given.",
    "restriction.mode": "`enforce`, `shadow` (record, never act) or `off`.",
    "restriction.standby": "`true`: off until `proxyguard restrict start NAME`.",
    "restriction.start_when": "Off until one of these thresholds is exceeded for a time.",
    "restriction.hold": "How long it stays on after that; 10m unless given.",
    "restriction.roll_back": "End it when it touches more than a share of the clients of a class.",
    "restriction.shed": "Refuse instead of limiting: the suspected first, then class after class while the alarm goes on.",
    "alarm.site_rate": "Requests to the whole site: 500/second.",
    "alarm.upstream_p95": "The time within which 95 of 100 responses of the site begin.",
    "alarm.upstream_errors": "The share of the site's responses that are errors (5xx, or none at all).",
    "alarm.for": "How long on end; 30s unless given.",
    "rollback.class": "The class that is to be spared.",
    "rollback.share": "The share of its clients from which on the restriction ends: 5%.",
    "shed.every": "The time between two steps; 30s unless given.",
    "shed.suspected": "The score from which on a client is suspected; 50 unless given.",
    "shed.steps": "Who is refused, one after the other; `suspected`, `anonymous`, then the classes from the last to the first.",
    "test.during": "The restrictions that are on meanwhile. Those whose rules the test expects are on anyway.",
    "file.tests": "Requests and what must be decided about them; run whenever the file is loaded.",
    "rule.name": "The name of the rule; it becomes a metric label, and stands in the audit log.",
    "rule.why": "The reason, for the operator; clients never see it.",
    "rule.when": "What must hold for a request. Left out: every request.",
    "rule.limit": "The rule applies when `when` holds and this limit is exceeded.",
    "rule.action": "What to do.",
    "rule.mode": "`enforce`, `shadow` (record, never act) or `off`.",
    "rule.expires": "The day (00:00 UTC) or time from which on the rule is not looked at.",
    "limit.rate": "So many per period: 10/minute, 300/hour, 20/90s.",
    "limit.count": "What is counted: requests, bytes, upstream_seconds, responses by status, distinct values.",
    "limit.burst": "How many may come at once; the rate's number unless given.",
    "limit.window": "`sliding`: what was used is given back evenly. `calendar`: all of it when the hour, day or week ends.",
    "limit.time_zone": "Where the calendar's days begin; UTC unless given.",
    "limit.per": "What is counted separately. `client` unless given.",
    "limit.missing": "A request without a part of the key: `shared` counts with its like, `separate` by client, `skip` not.",
    "limit.announce": "Whether clients are told: RateLimit fields in every answer, and the limit in words on the refusal page.",
    "reject.status": "The status of the answer.",
    "reject.message": "A line for the person or the log of the program that is refused.",
    "reject.retry_after": "When to come back, as a Retry-After header.",
    "tarpit.hold": "The longest time to hold the client.",
    "tarpit.drip": "The time between two pieces of the answer.",
    "tarpit.drip_bytes": "The size of a piece.",
    "ban.for": "How long the first ban lasts.",
    "ban.escalation": "How many times longer each further ban of the same key lasts.",
    "ban.max": "The longest that a repeated ban lasts.",
    "ban.forget": "How long after a ban's end the next one counts as a repetition.",
    "ban.then": "What the banned get: `reject`, `tarpit` or `drop`.",
    "test.name": "What the test shows.",
    "test.request": "The request; what is left out gets plain defaults.",
    "test.response": "What the site answers, for limits that count responses.",
    "test.repeat": "How many equal requests to send; `expect` is about the last.",
    "test.within": "The time that the repeated requests take in all; without it they come at once.",
    "test.expect": "`ACTION by RULE`, or a mapping.",
    "test.then": "More steps after this one, on the same clock.",
    "test.steps": "Several steps, one after the other, on one clock.",
    "request.client": "The client's address; 192.0.2.1 unless given.",
    "request.method": "The method; GET unless given.",
    "request.scheme": "http or https; https unless given.",
    "request.host": "The host; example.org unless given.",
    "request.path": "The path as the client sends it, with the query; / unless given.",
    "request.http_version": "The version of HTTP; 1.1 unless given.",
    "request.user_agent": "The User-Agent header; none unless given.",
    "request.headers": "Other headers: a text, or a list of texts for a header that is repeated.",
    "request.cookies": "Cookies by name.",
    "request.account": "What the site said of the session's account before.",
    "response.status": "The status of the response; 200 unless given.",
    "response.bytes": "The size of its body; 0 unless given.",
    "response.seconds": "The time that the site works for it; 0 unless given.",
    "count.status": "Responses with one of these statuses: 404, [401, 403], 5xx.",
    "count.distinct": "Different values of a part of the request, such as `path`.",
    "expect.action": "What must be done in the end.",
    "expect.rule": "The rule that must decide; `default` when none does.",
    "expect.status": "The status that the client must get.",
    "expect.score": "The score that the request must have.",
}


EXAMPLES: Final[dict[str, list[Any]]] = {
    "file.name": ["scripted-clients"],
    "file.description": ["Library user agents do not read pages; they have the API host."],
    "file.lists": [{"offices": ["192.0.2.10", "2001:db8:7::/48"]}, {"names": {"file": "lists/names.txt"}}],
    "rule.name": ["sign-up-flood"],
    "rule.why": ["No person signs up ten times a minute."],
    "class.name": ["verified"],
    "tarpit.drip_bytes": [1, 16],
    "test.name": ["a flood of sign-ups"],
    "test.repeat": [20],
    "request.client": ["192.0.2.1", "2001:db8::1"],
    "request.method": ["POST"],
    "request.scheme": ["http"],
    "request.host": ["www.example.org"],
    "request.path": ["/search?q=ada"],
    "request.http_version": ["1.0", "2"],
    "request.user_agent": ["curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"],
    "request.headers": [{"Accept": "text/html", "X-Twice": ["a", "b"]}],
    "request.cookies": [{"session": "abc"}],
    "request.account": ["verified"],
    "matcher.in": [["/robots.txt", "/favicon.ico"]],
    "matcher.prefix": ["/api/", ["/api/", "/feeds/"]],
    "matcher.suffix": [".example.org", [".css", ".js"]],
    "matcher.contains": ["/wp-admin/"],
    "matcher.word": ["curl", ["GPTBot", "CCBot"], "$names"],
    "matcher.glob": ["/download/*.zip"],
    "matcher.regex": [r"^/user/\d+$", r"(?i)\bChrome/\d+"],
    "matcher.at_least": [60],
    "matcher.at_most": [10],
}
"""Shown beside the descriptions, for keys whose values the schema does not already list."""


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
        "scalar": _SCALAR,
        "texts": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]},
        "duration": {"type": "string", "pattern": _DURATION, "examples": ["500ms", "30s", "5m", "1h", "7d"]},
    }


_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}
_TEXTS: Final[Schema] = {"$ref": "#/definitions/texts"}
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
                {"type": "array", "items": _SCALAR, "minItems": 1},
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

_PART: Final[Schema] = {
    "anyOf": [
        {"enum": [str(kind) for kind in KeyKind if kind not in NAMED_PARTS]},
        {"type": "string", "pattern": rf"^({'|'.join(NAMED_PARTS)})\..+$"},
    ]
}

_STATUS: Final[Schema] = {
    "type": ["string", "integer"],
    "pattern": "^[2-5]([0-9][0-9]|xx)$",
    "minimum": 200,
    "maximum": 599,
}

_COUNT: Final[Schema] = {
    "status": {"anyOf": [_STATUS, {"type": "array", "minItems": 1, "items": _STATUS}]},
    "distinct": _PART,
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
    "per": {"anyOf": [_PART, {"type": "array", "minItems": 1, "items": _PART}], "examples": [["client"], ["site"]]},
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
    "headers": {"type": "object", "additionalProperties": _TEXTS},
    "cookies": {"type": "object", "additionalProperties": _TEXTS},
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
