"""Signatures as sites make them hold, whatever else does not; the example token is that of RFC 7515, appendix A.1."""

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode

import pytest

from proxyguard.policy.compile.signatures import MAX_REMEMBERED_BYTES, checker, is_signed
from proxyguard.policy.matchers import Encoding, Signed

SECRET = b"0123456789abcdef"

RFC_KEY = urlsafe_b64decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==")
RFC_TOKEN = (
    b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    b".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    b".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)


def made(digest: str, message: bytes = b"user=7") -> bytes:
    return hmac.new(SECRET, message, getattr(hashlib, digest)).digest()


def test_the_token_of_the_standard_is_signed() -> None:
    assert is_signed(Signed("X", RFC_KEY), RFC_TOKEN)
    assert not is_signed(Signed("X", SECRET), RFC_TOKEN)


@pytest.mark.parametrize(
    ("signed", "value"),
    [
        (Signed("X", SECRET), b"user=7." + urlsafe_b64encode(made("sha256"))),
        (Signed("X", SECRET), b"user=7." + urlsafe_b64encode(made("sha256")).rstrip(b"=")),
        (Signed("X", SECRET, encoding=Encoding.BASE64), b"user=7." + b64encode(made("sha256")).rstrip(b"=")),
        (Signed("X", SECRET, b"--", "sha1", Encoding.HEX), b"user=7--" + made("sha1").hex().encode()),
        (Signed("X", SECRET, b"--", "sha1", Encoding.HEX), b"user=7--" + made("sha1").hex().upper().encode()),
        (Signed("X", SECRET, b".", "sha512"), b"user=7." + urlsafe_b64encode(made("sha512")).rstrip(b"=")),
        (Signed("X", SECRET, prefix=b"s:"), b"s:user=7." + urlsafe_b64encode(made("sha256")).rstrip(b"=")),
    ],
)
def test_a_value_is_signed_and_any_change_of_it_is_not(signed: Signed, value: bytes) -> None:
    assert is_signed(signed, value)
    for at in range(len(value)):
        changed = value[:at] + bytes((value[at] ^ 0x04,)) + value[at + 1 :]
        if changed.rstrip(b"=") != value.rstrip(b"=") and at < len(value) - 2:
            assert not is_signed(signed, changed), changed


@pytest.mark.parametrize("value", [b"", b".", b"user=7", b"user=7.", b".x", b"Bearer ", b"\xff\xff.\xff"])
def test_what_has_no_signature_is_not_signed(value: bytes) -> None:
    assert not is_signed(Signed("X", SECRET), value)


def test_the_algorithm_is_ours_whatever_the_token_says() -> None:
    unsigned = urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=") + b"." + urlsafe_b64encode(b'{"sub":"1"}').rstrip(b"=") + b"."
    assert not is_signed(Signed("X", SECRET), unsigned)


def test_long_values_are_answered_too() -> None:
    long = b"x" * MAX_REMEMBERED_BYTES
    value = long + b"." + urlsafe_b64encode(made("sha256", long)).rstrip(b"=")
    asked = checker(Signed("X", SECRET))
    assert asked(value)
    assert not asked(value[:-2])
    assert asked(b"user=7." + urlsafe_b64encode(made("sha256")))


def test_a_secret_is_not_in_what_is_printed() -> None:
    assert "0123456789abcdef" not in repr(Signed("SESSION_SECRET", SECRET))
