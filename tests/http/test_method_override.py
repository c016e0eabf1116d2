"""The method that a site acts on."""

from __future__ import annotations

import pytest

from proxyguard.http.http1.heads import BodyKind, RequestHead
from proxyguard.http.method_override import acting_method, is_method_unclear


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
        (head(b"POST", target=b"/?_method="), b"POST"),
        (head(b"POST", (b"X.HTTP.Method.Override", b"DELETE")), b"DELETE"),  # lighttpd makes one of all marks
        (head(b"POST", (b"X-HTTP-Method", b"PUT"), (b"X-Method", b"put"), target=b"/?_method=PUT"), b"PUT"),
    ],
)
def test_the_method_that_a_site_acts_on(request_head: RequestHead, method: bytes) -> None:
    assert (acting_method(request_head), is_method_unclear(request_head)) == (method, False)


@pytest.mark.parametrize(
    "request_head",
    [
        head(b"POST", (b"X-Method", b"GET"), (b"X-HTTP-Method-Override", b"DELETE")),  # Symfony and Rails read the second only
        head(b"POST", (b"X-HTTP-Method-Override", b"DELETE, GET")),  # Express reads the first, others none
        head(b"POST", (b"X-HTTP-Method-Override", b"GET"), target=b"/?_method=DELETE"),
        *[
            head(b"POST", target=b"/?" + query)
            for query in (
                b"_%6dethod=DELETE", b"_method=%44ELETE", b"+_method=DELETE", b".method=DELETE", b"_method[]=DELETE",
                b"_method%00=DELETE", b"_method=GET&_method=DELETE", b"a=1;_method=DELETE", b"_method=DELETE;a",
                b"_METHOD=DELETE",
            )
        ],
    ],
)  # fmt: skip
def test_a_method_that_sites_may_not_agree_about_is_unclear(request_head: RequestHead) -> None:
    assert is_method_unclear(request_head)
