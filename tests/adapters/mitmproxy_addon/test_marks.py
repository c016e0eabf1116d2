"""What a flow shows of a decision."""

from __future__ import annotations

from mitmproxy.utils.emoji import emoji

from proxyguard.adapters.mitmproxy_addon.marks import FAULT_MARKER, MARKERS, SHADOW_MARKER, comment
from proxyguard.core.decision import ACTION_NAMES, PASS, Decision, Reject, ShadowHit


def test_mitmproxy_knows_all_markers() -> None:
    assert {*MARKERS.values(), SHADOW_MARKER, FAULT_MARKER} <= emoji.keys()
    assert MARKERS.keys() <= {*ACTION_NAMES.values()}


def test_a_comment_reads_as_tests_do() -> None:
    assert comment(Decision(action=PASS)) == "pass by default"
    hit = ShadowHit(rule="slow", action="tarpit")
    decision = Decision(action=Reject(), rule="no-curl", reason="Not\x1b[31m", score=35.0, shadow=(hit,))
    assert comment(decision) == "reject by no-curl: Not\\x1b[31m; score 35; in shadow: tarpit by slow"
