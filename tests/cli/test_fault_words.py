"""What a fault means: every token that the front can write has its words."""

from __future__ import annotations

import re
from pathlib import Path

from proxyguard.adapters.mitmproxy.under_way import TOO_MANY, TOO_MANY_OF_NETWORK
from proxyguard.adapters.mitmproxy.upstream.slots import QUEUE_FULL, QUEUE_TIMEOUT
from proxyguard.cli.fault_words import BOUNDS, FAULTS, MALFORMED, in_words
from proxyguard.http.http2.errors import REQUEST_FAULTS
from proxyguard.settings.table import SETTINGS
from tests.paths import ROOT

FRONT = ROOT / "proxyguard/adapters/mitmproxy"

CALL = r'(?:fail|_answer_alone|_cut|_finish)\([^()\n]*"([a-z0-9-]+)"'
NAME = r'(?:fault(?:: str)?|[A-Z_]+: Final) = "([a-z0-9]+-[a-z0-9-]+)"'
TOKEN = re.compile(f"{CALL}|{NAME}")


def written(path: Path) -> set[str]:
    return {first or second for first, second in TOKEN.findall(path.read_text())}


def test_every_fault_of_a_form_and_every_bound_has_words() -> None:
    assert set(MALFORMED) == set(REQUEST_FAULTS)
    bounds = {TOO_MANY, TOO_MANY_OF_NETWORK.replace("_", "-"), QUEUE_FULL, QUEUE_TIMEOUT, "delay", "body-memory"}
    assert set(BOUNDS) == bounds


def test_every_fault_that_the_front_names_has_words() -> None:
    found = {token for path in FRONT.rglob("*.py") for token in written(path)}
    assert {"upstream-connect", "host-unknown", "client-timeout", "loop", "plain-http"} <= found
    assert found <= set(FAULTS)


def test_the_settings_that_are_named_exist() -> None:
    named = {name for words in FAULTS.values() for name in re.findall(r"\b(?:bounds|buffering)\.[a-z_]+", words)}
    assert named
    assert named <= {setting.path for setting in SETTINGS}


def test_a_fault_of_another_version_is_shown_as_it_is() -> None:
    assert in_words("loop").startswith("loop: the request had passed")
    assert in_words("new-one") == "new-one"
