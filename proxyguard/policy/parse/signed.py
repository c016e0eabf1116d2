"""The `signed` matcher: from a node to the model. The only secret of the rule language, and never written in it.

The rule names an environment variable. The secret is its value, or what stands in the file that the variable with `_FILE` behind
its name points to, as container platforms mount secrets.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from proxyguard.core.problems import Report, quoted
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar
from proxyguard.core.yaml.values import complain, not_what, read_choice, read_keys, read_scalar, read_text
from proxyguard.policy.model import Encoding, Signed
from proxyguard.policy.parse.lists import reason

SIGNED_KEYS: Final = ("secret", "separator", "digest", "encoding", "prefix")

DIGESTS: Final = ("sha256", "sha384", "sha512", "sha1")
"""The last is for old frameworks; as an HMAC it still holds."""

MIN_SECRET_BYTES: Final = 16
"""Shorter ones are guessed from a single cookie."""

MAX_SECRET_BYTES: Final = 4096

EXAMPLE: Final = "cookie.session: {signed: {secret: SESSION_SECRET}}"

_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,127}", re.ASCII)

_MEANT: Final = {
    **dict.fromkeys(("key", "env", "secret_env", "variable", "password"), "did you mean 'secret'?"),
    **dict.fromkeys(("algorithm", "alg", "hash", "hmac"), "did you mean 'digest'?"),
    **dict.fromkeys(("sep", "delimiter"), "did you mean 'separator'?"),
}
_MEANT_DIGEST: Final = {
    "hs256": "did you mean sha256?",
    "hs384": "did you mean sha384?",
    "hs512": "did you mean sha512?",
    **dict.fromkeys(("rs256", "es256", "eddsa"), "only signatures with a shared secret (HMAC) can be checked"),
}


def read_signed(node: Node, report: Report) -> Signed | None:
    """`VARIABLE`, or a mapping with `secret: VARIABLE`. None when a problem was reported."""
    if isinstance(node, Scalar) and not node.is_null:
        found = _secret(node, report)
        return None if found is None else Signed(*found)
    if not isinstance(node, Mapping) or not node.entries:
        complain(report, node, not_what(node, "signed", "a mapping"), EXAMPLE)
        return None
    before = len(report.problems)
    values = read_keys(node, SIGNED_KEYS, report, "signed", _MEANT)
    secret = _secret(values["secret"], report) if "secret" in values else None
    if "secret" not in values and len(report.problems) == before:
        complain(report, node, "signed has no secret", EXAMPLE)
    separator = read_text(values["separator"], report, "separator", 8) if "separator" in values else "."
    prefix = read_text(values["prefix"], report, "prefix", 64) if "prefix" in values else ""
    digest = read_choice(values["digest"], report, "digest", DIGESTS, _MEANT_DIGEST) if "digest" in values else "sha256"
    encoding: str | None = Encoding.BASE64URL
    if "encoding" in values:
        encoding = read_choice(values["encoding"], report, "encoding", tuple(Encoding))
    if len(report.problems) > before or secret is None or separator is None or prefix is None:
        return None
    if digest is None or encoding is None:
        return None
    return Signed(*secret, separator.encode(), digest, Encoding(encoding), prefix.encode())


def _secret(node: Node, report: Report) -> tuple[str, bytes] | None:
    """The variable and its secret."""
    hint = "the name of an environment variable, such as SESSION_SECRET"
    scalar = read_scalar(node, report, "secret", "the name of an environment variable", hint)
    if scalar is None:
        return None
    name = scalar.text
    if not _VARIABLE.fullmatch(name):
        # The value may be the secret itself: it is not repeated.
        complain(report, node, "secret is not the name of an environment variable", f"{hint}; the secret stays out of YAML")
        return None
    secret = _value(name, node, report)
    if secret is None:
        return None
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        hint = f"from {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes; a short one can be guessed from one cookie"
        complain(report, node, f"the secret in {name} has {len(secret)} bytes", hint)
        return None
    return name, secret


def _value(name: str, node: Node, report: Report) -> bytes | None:
    value = os.environ.get(name)
    if value is not None:
        return value.encode("utf-8", "surrogateescape")
    file = os.environ.get(f"{name}_FILE")
    if file is None:
        hint = f"set it, or {name}_FILE to a file that holds it; to check rules only, any text of 16 characters will do"
        complain(report, node, f"the environment variable {name} is not set", hint)
        return None
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MAX_SECRET_BYTES + 2).rstrip(b"\r\n")
    except OSError as error:
        complain(report, node, f"the file that {name}_FILE names cannot be read: {reason(error)}", quoted(file))
        return None
