"""The descriptions of the keys of `signed` in the JSON Schema."""

from __future__ import annotations

from typing import Final

KEY_WORDS: Final = {
    "signed.secret": "The environment variable that holds the secret, or with _FILE behind its name the path of a file.",
    "signed.separator": "What stands between the value and its signature; `.` unless given.",
    "signed.digest": "The hash of the HMAC; sha256 unless given.",
    "signed.encoding": "How the signature is written: base64url unless given.",
    "signed.prefix": "What the value must begin with, and is not signed: `'Bearer '`.",
}
