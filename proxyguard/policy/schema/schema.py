"""The rule language as a JSON Schema (draft 7), for editors: completion, hover text, and faults while typing.

Built from the tables that the reader goes by, so that a key cannot be in one and not in the other. A schema cannot say all
that the reader checks (`proxyguard check` does): it accepts everything that the reader accepts, and refuses what it can.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.yaml.kinds import Schema
from proxyguard.policy.actions.ban import REFUSALS
from proxyguard.policy.actions.reading import action_schema
from proxyguard.policy.actions.registry import ACTIONS
from proxyguard.policy.parse.classes import ACCOUNT, CLASS
from proxyguard.policy.parse.file import BY_REFERENCE, CONTENT, FILE
from proxyguard.policy.parse.limits import LIMIT
from proxyguard.policy.parse.overrides import OVERRIDE
from proxyguard.policy.parse.restrictions import RESTRICTION
from proxyguard.policy.parse.rules import RULE
from proxyguard.policy.parse.signed import SIGNED, VARIABLE_SCHEMA
from proxyguard.policy.parse.tests import REQUEST, RESPONSE, STEP, TEST
from proxyguard.policy.schema.conditions import condition_definitions

SCHEMA_ID: Final = "http://json-schema.org/draft-07/schema#"


def policy_schema() -> Schema:
    return {
        "$schema": SCHEMA_ID,
        "title": "proxyguard rule file",
        "description": "One rule set. `proxyguard check` finds what a schema cannot.",
        **FILE.schema(),
        "anyOf": [*({"required": ["name", key]} for key in CONTENT), *({"required": [key]} for key in BY_REFERENCE)],
        "definitions": _definitions(),
    }


def _definitions() -> Schema:
    return {
        **condition_definitions(),
        "action": action_schema(ACTIONS),
        "refusal": action_schema(REFUSALS),
        "limit": LIMIT.schema(),
        "response": RESPONSE.schema(),
        "account": ACCOUNT.schema(),
        "class": CLASS.schema(),
        "restriction": RESTRICTION.schema(),
        "signed": {"anyOf": [VARIABLE_SCHEMA, SIGNED.schema()]},
        "rule": RULE.schema(examples=[_EXAMPLE_RULE]),
        "override": OVERRIDE.schema(minProperties=1),
        "test": TEST.schema(anyOf=[{"required": ["request"]}, {"required": ["steps"]}]),
        "step": STEP.schema(),
        "request": REQUEST.schema(),
    }


_EXAMPLE_RULE: Final[Schema] = {
    "name": "sign-up-flood",
    "why": "No person signs up ten times a minute.",
    "when": {"method": "POST", "path": ["/signup"]},
    "limit": {"rate": "10/minute", "burst": 5, "per": ["client"]},
    "action": {"tarpit": {"hold": "60s"}},
}
