"""The method that a site acts on."""

from __future__ import annotations

import pytest

from proxyguard.http.http1.heads import BodyKind, RequestHead
from proxyguard.http.method_override import acting_method


def head(method: bytes, *headers: tuple[bytes, bytes], target: bytes = b"/") -> RequestHead:
    return RequestHead(method, target, b"x", b"x", headers, b"1.1", BodyKind.NONE, None, True, False, None, (), False)  # noqa: FBT003 - a tuple of C speed


@pytest.mark.parametrize(
    ("request_head", "method"),
    [
        (head(b"POST", (b"X-HTTP-Method-Override", b"delete")), b"DELETE"),
        (head(b"POST", (b"X_Method_Override", b" PUT ")), b"PUT"),
        (head(b"GET", (b"X-HTTP-Method", b"DELETE")), b"GET"),
        (head(b"POST", (b"X-HTTP-Method", b"no method")), b"POST"),
        (head(b"POST", target=b"/?a=1&_method=patch"), b"PATCH"),
        (head(b"POST", target=b"/?x_method=patch"), b"POST"),
    ],
)
def test_the_method_that_a_site_acts_on(request_head: RequestHead, method: bytes) -> None:
    assert acting_method(request_head) == method
