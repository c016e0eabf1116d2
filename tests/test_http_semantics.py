"""Where each trap of HTTP that a proxy of this kind has fallen into is held: by tests that exist, and a page that says it."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from proxyguard.http.http1.faults import REQUEST_FAULTS
from tests.paths import ROOT

PAGE = (ROOT / "docs/reference/http.md").read_text()

FRONT = "tests/adapters/test_front.py"
LANE = "tests/adapters/http1/test_layer.py"
HTTP2_LANE = "tests/adapters/http2/test_layer.py"
HTTP2_FRONT = "tests/adapters/http2/test_front.py"
TLS = "tests/adapters/tls/test_certificates.py"
BODIES = "tests/end_to_end/test_bodies.py"
DIFFERENTIAL = "tests/end_to_end/test_differential.py"
SEMANTICS = "tests/end_to_end/test_semantics.py"
SITES = "tests/end_to_end/test_sites.py"

ODD = f"{DIFFERENTIAL}::test_it_arrives_as_it_was_inspected_or_not_at_all"

HELD_BY: dict[str, list[str]] = {
    "bodies are streamed both ways": [
        f"{BODIES}::test_an_upload_of_200_mb_arrives_whole",
        f"{BODIES}::test_a_download_of_1_gb_arrives_whole",
        f"{BODIES}::test_a_slow_reader_of_a_large_download_is_not_buffered",
        f"{SEMANTICS}::test_an_upload_of_unknown_length_passes_chunk_by_chunk",
    ],
    "event streams": [f"{BODIES}::test_an_endless_event_stream_arrives_event_by_event_and_ends_with_its_reader"],
    "HEAD, 204, 304": [
        f"{SEMANTICS}::test_an_answer_without_a_body_ends_with_its_head_and_the_connection_goes_on",
        f"{SEMANTICS}::test_answers_without_a_body_end_their_stream",
    ],
    "WebSocket, and nothing of it is kept": [
        "tests/end_to_end/test_browser.py::test_a_browser_reads_logs_in_and_talks_live",
        "tests/end_to_end/test_websocket.py::test_a_hundred_megabytes_of_messages_leave_nothing_behind",
        f"{FRONT}::test_an_upgraded_connection_is_relayed_until_one_side_ends_it",
    ],
    "trailers": [
        f"{SEMANTICS}::test_trailers_pass_both_ways",
        f"{SEMANTICS}::test_early_hints_and_trailers_pass_over_http2",
        f"{LANE}::test_chunks_and_trailers_pass_both_ways_however_they_are_cut",
    ],
    "103 Early Hints": [
        f"{SEMANTICS}::test_early_hints_come_before_the_answer_and_do_not_replace_it",
        f"{LANE}::test_interim_responses_are_passed_on",
    ],
    "bare LF, obs-fold, missing or duplicate Host": [ODD],
    "CL+TE, CONNECT": [ODD, "tests/end_to_end/test_evasion.py::test_no_second_request_is_smuggled_behind_an_open_one"],
    "absolute-form": [ODD],
    "ranges": [f"{SEMANTICS}::test_a_range_passes_with_its_answer", f"{BODIES}::test_a_part_of_a_large_file_is_that_part"],
    "Expect": [f"{SEMANTICS}::test_who_expects_consent_gets_the_upstreams", ODD],
    "gRPC": [
        f"{SEMANTICS}::test_a_grpc_call_passes_to_an_upstream_that_takes_it_over_http1",
        f"{SEMANTICS}::test_a_grpc_call_to_an_upstream_of_http2_only_is_a_clear_502",
    ],
    "header size and count": [
        ODD,
        f"{SEMANTICS}::test_a_megabyte_of_header_is_a_431_before_it_is_all_sent",
        f"{FRONT}::test_every_bound_is_a_clear_answer_or_a_close",
    ],
    "slow headers": [
        f"{SEMANTICS}::test_a_head_that_trickles_in_is_a_408_in_time",
        f"{LANE}::test_a_head_that_trickles_is_a_408_however_often_a_byte_comes",
    ],
    "connections in all and by network": [f"{FRONT}::test_connections_beyond_the_bound_are_refused"],
    "HTTP/2 clients share upstream connections, and fare no worse after a failed one": [
        f"{SEMANTICS}::test_requests_of_one_http2_client_share_upstream_connections",
        f"{SEMANTICS}::test_a_grpc_call_to_an_upstream_of_http2_only_is_a_clear_502",
        f"{HTTP2_LANE}::test_no_upstream_is_a_503_and_a_bad_one_a_502",
    ],
    "the upstream is away": [
        "tests/end_to_end/test_life.py::test_an_upstream_that_is_away_gives_an_error_of_ours_and_is_used_as_soon_as_it_is_back",
        f"{FRONT}::test_an_upstream_that_never_answers_is_a_504",
    ],
    "X-Forwarded-* and Forwarded": [
        "tests/end_to_end/test_clients.py::test_the_upstream_sees_the_host_and_the_true_client_only",
        f"{FRONT}::test_forged_addresses_do_not_reach_the_upstream",
        ODD,
    ],
    "PROXY protocol": [
        f"{SITES}::test_a_proxy_header_of_a_trusted_peer_names_the_client",
        f"{SITES}::test_without_a_right_header_from_a_right_peer_nothing_is_served",
    ],
    "HTTP/2 slow readers and rapid reset": [
        f"{HTTP2_FRONT}::test_rapid_resets_end_the_connection_and_leave_nothing_behind",
        f"{HTTP2_FRONT}::test_streams_whose_client_reads_none_of_them_hold_little_and_are_given_up",
    ],
    "HTTP/2 in clear text": [f"{SEMANTICS}::test_http2_in_clear_text_is_refused_and_never_reaches_the_upstream", ODD],
    "a ClientHello in many pieces": [f"{TLS}::test_a_hello_in_single_bytes_is_understood", f"{TLS}::test_handshakes_are_bounded"],
    "certificates by name, renewed live, never of mitmproxy's own": [
        f"{SITES}::test_each_site_shows_its_certificate_and_has_its_upstream",
        f"{SITES}::test_a_renewed_certificate_is_shown_after_a_hangup_and_no_connection_is_lost",
        f"{SITES}::test_no_certificate_of_mitmproxys_own_is_ever_shown",
    ],
    "one private client": [f"{SITES}::test_all_traffic_from_one_private_address_is_warned_of"],
}


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


@pytest.mark.parametrize("topic", HELD_BY)
def test_each_trap_is_held_by_tests_that_exist(topic: str) -> None:
    missing = [name for name in HELD_BY[topic] if name.partition("::")[2] not in names_in(name.partition("::")[0])]
    assert missing == []
    assert HELD_BY[topic]


def test_the_page_says_every_status_that_a_request_is_refused_with() -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("| ")]
    said = {int(word) for row in rows for word in row.split("|")[1].replace(",", " ").split() if word.isdigit()}
    assert {*REQUEST_FAULTS.values(), 408, 421, 502, 503, 504} - said == set()
