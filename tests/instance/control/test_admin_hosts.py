"""By which names the admin port may be asked: a page in a browser must not read it by a name of its own (DNS rebinding)."""

from __future__ import annotations

import pytest

from proxyguard.core.settings import Listen
from proxyguard.instance.control.server import is_one_of, own_hosts

HOSTS = own_hosts(Listen("admin.internal", 9901)) | {"proxyguard"}


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:9901", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1:9901", "[::1]", "[::1]:9901",
        "10.0.0.7:9901",
        "admin.internal:9901", "proxyguard:9901", "proxyguard",
    ],
)  # fmt: skip
def test_a_name_of_its_own_is_answered(host: str) -> None:
    assert is_one_of(host, HOSTS)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:9901", "localhost.evil.example", "127.0.0.1.evil.example:9901",
        "evil.example#localhost",
        "localhost@evil.example", "evil.example:localhost", "[", "[::1", "proxyguard.evil.example", "127.0.0.1:9901:evil.example",
    ],
)  # fmt: skip
def test_any_other_is_refused(host: str) -> None:
    assert not is_one_of(host, HOSTS)
