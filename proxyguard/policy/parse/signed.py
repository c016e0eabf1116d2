"""The `signed` matcher: from a node to the model. The only secret of the rule language, and never written in it.

The rule names an environment variable. The secret is its value, or what stands in the file that the variable with `_FILE` behind
its name points to, as container platforms mount secrets.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.yaml.kinds import TEXT_SCHEMA, Key, KeyTable, Kind, Schema, plain, word
from proxyguard.core.yaml.nodes import Node, Scalar
from proxyguard.core.yaml.values import read_choice, read_scalar, read_text
from proxyguard.policy.matchers import Encoding, Signed
from proxyguard.policy.meant import meant
from proxyguard.policy.parse.lists import reason

DIGESTS: Final = ("sha256", "sha384", "sha512", "sha1")
"""The last is for old frameworks; as an HMAC it still holds."""

MIN_SECRET_BYTES: Final = 16
"""Shorter ones are guessed from a single cookie."""

MAX_SECRET_BYTES: Final = 4096

EXAMPLE: Final = "cookie.session: {signed: {secret: SESSION_SECRET}}"

_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,127}", re.ASCII)

_MEANT_DIGEST: Final = meant("digest")


def read_signed(node: Node, report: Report) -> Signed:
    """`VARIABLE`, or a mapping with `secret: VARIABLE`."""
    if isinstance(node, Scalar) and not node.is_null:
        return Signed(*_secret(node, "secret"))
    found = SIGNED.read(node, report).sound()
    return Signed(*found.values["secret"], **found.attributes())


def _secret(node: Node, subject: str) -> tuple[str, bytes]:
    """The variable and its secret."""
    hint = "the name of an environment variable, such as SESSION_SECRET"
    name = read_scalar(node, subject, "the name of an environment variable", hint)
    if not _VARIABLE.fullmatch(name):
        # The value may be the secret itself: it is not repeated.
        raise Fault("secret is not the name of an environment variable", f"{hint}; the secret stays out of YAML")
    secret = _value(name)
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        hint = f"from {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes; a short one can be guessed from one cookie"
        raise Fault(f"the secret in {name} has {len(secret)} bytes", hint)
    return name, secret


def _value(name: str) -> bytes:
    value = os.environ.get(name)
    if value is not None:
        return value.encode("utf-8", "surrogateescape")
    file = os.environ.get(f"{name}_FILE")
    if file is None:
        hint = f"set it, or {name}_FILE to a file that holds it; to check rules only, any text of 16 characters will do"
        raise Fault(f"the environment variable {name} is not set", hint)
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MAX_SECRET_BYTES + 2).rstrip(b"\r\n")
    except OSError as error:
        raise Fault(f"the file that {name}_FILE names cannot be read: {reason(error)}", quoted(file)) from error


def _bytes(longest: int, example: str) -> Kind:
    """A text that is compared as bytes."""
    read = plain(lambda node, subject: read_text(node, subject, longest).encode())
    return Kind(read, "text", {**TEXT_SCHEMA, "examples": [example]})


VARIABLE_SCHEMA: Final[Schema] = {"type": "string", "pattern": "^[A-Z_][A-Z0-9_]*$", "examples": ["SESSION_SECRET"]}

SIGNED: Final = KeyTable(
    subject="signed",
    example=EXAMPLE,
    meant=meant("signed"),
    is_quiet=True,
    keys={
        "secret": Key(Kind(plain(_secret), "name", VARIABLE_SCHEMA),
            "The environment variable that holds the secret, or with _FILE behind its name the path of a file.",
            ("signed has no secret", EXAMPLE), attribute=None),
        "separator": Key(_bytes(8, "."), "What stands between the value and its signature; `.` unless given."),
        "digest": Key(Kind(plain(read_choice, DIGESTS, _MEANT_DIGEST), "digest", {"enum": list(DIGESTS)}),
            "The hash of the HMAC; sha256 unless given."),
        "encoding": Key(word(Encoding), "How the signature is written: base64url unless given."),
        "prefix": Key(_bytes(64, "Bearer "), "What the value must begin with, and is not signed: `'Bearer '`."),
    },
)  # fmt: skip
