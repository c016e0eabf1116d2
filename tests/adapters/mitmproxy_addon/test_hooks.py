"""Flows through the hooks, without a proxy: what is decided about each, and that it is settled once, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from mitmproxy import flow as mitmproxy_flow
from mitmproxy.http import Headers, HTTPFlow
from mitmproxy.test.tflow import tclient_conn, terr, tflow
from mitmproxy.test.tutils import treq, tresp

from proxyguard.adapters.mitmproxy_addon.answerer import TICKET_FIELD
from proxyguard.adapters.mitmproxy_addon.hooks import FlowHooks
from proxyguard.adapters.mitmproxy_addon.services import AddonServices
from proxyguard.core.address import Network
from proxyguard.core.settings import Settings, Site, Trust
from tests.adapters.fakes import HeaderChecker, NotedEvents


class Rig:
    """The hooks with a checker that decides what a header says."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.checker, self.events = HeaderChecker(), NotedEvents()
        self.hooks = FlowHooks()
        self.hooks.services = self.services = AddonServices(settings or Settings(), self.checker, self.events)

    def run(self, *steps: Coroutine[Any, Any, None]) -> None:
        async def all_of_them() -> None:
            for step in steps:
                await step
            self.services.answerer.close()

        asyncio.run(all_of_them())


def a_flow(*fields: tuple[bytes, bytes], method: bytes = b"GET", path: bytes = b"/", alpn: bytes | None = None) -> HTTPFlow:
    """A flow whose request has come from 127.0.0.1, its head alone."""
    headers = Headers([(b"Host", b"a.example"), *fields])
    flow = tflow(req=treq(method=method, path=path, headers=headers, host="site", port=9000), client_conn=tclient_conn())
    flow.client_conn.peername = ("127.0.0.1", 5000)
    flow.client_conn.tls_version = None
    flow.client_conn.timestamp_tls_setup = None
    flow.client_conn.alpn = alpn
    return flow


def test_without_rules_no_request_passes() -> None:
    flow = a_flow()
    asyncio.run(FlowHooks().requestheaders(flow))
    assert flow.error is not None
    assert flow.error.msg == mitmproxy_flow.Error.KILLED_MESSAGE
    assert flow.comment == "refused: no rules are in force"


def test_a_fault_of_ours_ends_the_flow() -> None:
    """mitmproxy would log what a hook raises, and forward the request."""
    rig, flow = Rig(), a_flow((b"X-Do", b"crash"))
    rig.run(rig.hooks.requestheaders(flow))
    assert flow.error is not None
    assert [where for where, _ in rig.events.errors] == ["addon"]


def test_a_forwarded_request_is_what_was_inspected_without_claims() -> None:
    rig = Rig()
    claims = (b"X-Real-Ip", b"9.9.9.9"), (b"X_Forwarded_For", b"9.9.9.9"), (b"X-Method", b"DELETE")
    nominated = (b"X-A", b"1"), (b"Connection", b"x-a, close")
    flow = a_flow(*claims, *nominated, (b"X-B", b"3"), (b"x-b", b"4"), path=b"/%41//b?q=%20")
    rig.run(rig.hooks.requestheaders(flow))
    assert flow.request.headers.fields == (
        (b"Host", b"a.example"),
        (b"X-B", b"3"),
        (b"x-b", b"4"),
        (b"X-Forwarded-For", b"127.0.0.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"a.example"),
        (b"X-Real-IP", b"127.0.0.1"),
        (b"Connection", b"close"),
    )
    assert flow.request.data.path == b"/%41//b?q=%20"
    assert rig.checker.requests[0].target == b"/%41//b?q=%20"
    assert flow.response is None


def test_the_client_is_who_a_trusted_proxy_names() -> None:
    rig = Rig(Settings(trust=Trust(proxies=(Network.parse("127.0.0.0/8"),))))
    rig.run(rig.hooks.requestheaders(a_flow((b"X-Forwarded-For", b"9.9.9.9, 203.0.113.7"), (b"X-Forwarded-Proto", b"https"))))
    [request] = rig.checker.requests
    assert (request.client.text, request.scheme) == ("203.0.113.7", b"https")


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [(b"Host", b"b.example", 400), (b"Content_Length", b"1", 400), (b"X", b"a\r\nY: b", 400), (b"X", b"a\r\n\r\n", 400),
     (b"X", b"a" * 9000, 431), (b"Expect", b"the worst", 417)],
)  # fmt: skip
def test_what_the_front_would_refuse_is_refused(field: bytes, value: bytes, status: int) -> None:
    """Before any rule, and before the body: mitmproxy is sent to our own server for the answer."""
    rig, flow = Rig(), a_flow((field, value))
    rig.run(rig.hooks.requestheaders(flow))
    assert rig.checker.requests == []
    assert flow.comment.startswith(f"refused with {status}: ")
    assert [name for name, _ in flow.request.headers.fields] == [b"Host", TICKET_FIELD]


def test_a_host_of_no_site_is_refused() -> None:
    rig, flow = Rig(Settings(sites=(Site(hosts=("b.example",)),))), a_flow()
    rig.run(rig.hooks.requestheaders(flow))
    assert flow.response is not None
    assert flow.response.status_code == 421
    assert rig.events.bad == {"host-unknown": 1}


def test_a_refusal_without_a_body_is_answered_at_once_and_one_that_may_have_one_by_our_server() -> None:
    rig = Rig()
    plain, upload, stream = (
        a_flow((b"X-Do", b"reject")),
        a_flow((b"X-Do", b"reject"), (b"Content-Length", b"9"), method=b"POST"),
        a_flow((b"x-do", b"reject"), alpn=b"h2"),
    )
    stream.request.headers = Headers([(b"x-do", b"reject")])
    stream.request.http_version, stream.request.authority = "HTTP/2.0", "a.example"
    rig.run(*(rig.hooks.requestheaders(flow) for flow in (plain, upload, stream)))
    assert plain.response is not None
    for flow in (upload, stream):
        assert flow.response is None
        assert flow.request.stream
        assert (flow.request.host, flow.request.scheme) == ("127.0.0.1", "http")
    assert rig.checker.served == [(403, "")] * 3
    upload.response = tresp()
    rig.hooks.responseheaders(upload)
    assert (upload.request.host, upload.request.port) == ("site", 9000)
    assert (b"X-Do", b"reject") in upload.request.headers.fields


def test_head_is_refused_with_the_length_and_without_the_body() -> None:
    rig, flow = Rig(), a_flow((b"X-Do", b"reject"), method=b"HEAD")
    rig.run(rig.hooks.requestheaders(flow))
    assert flow.response is not None
    assert flow.response.raw_content == b""
    assert int(flow.response.headers["content-length"]) > 0


def test_bodies_are_counted_and_an_answered_flow_is_settled_once() -> None:
    rig, flow = Rig(), a_flow((b"Content-Length", b"3"), method=b"POST")
    rig.run(rig.hooks.requestheaders(flow))
    assert callable(flow.request.stream)
    assert flow.request.stream(b"abc") == b"abc"
    flow.response = tresp(status_code=404)
    rig.hooks.responseheaders(flow)
    assert callable(flow.response.stream)
    assert flow.response.stream(b"12345") == b"12345"
    rig.hooks.response(flow)
    rig.hooks.error(flow)
    rig.hooks.client_disconnected(flow.client_conn)
    [(_, served)] = rig.checker.settled
    assert (served.status, served.bytes_received, served.bytes_sent, served.fault) == (404, 3, 5, "")
    assert served.upstream_seconds is not None
    assert rig.services.under_way.total == 0


@pytest.mark.parametrize(
    ("message", "reached", "end"),
    [("Client disconnected.", True, (499, "client-gone")), ("server closed connection", True, (502, "upstream-closed")),
     ("Connection refused", False, (502, "upstream-connect"))],
)  # fmt: skip
def test_a_failed_flow_is_settled_by_whose_fault_it_was(message: str, *, reached: bool, end: tuple[int, str]) -> None:
    rig, flow = Rig(), a_flow()
    rig.run(rig.hooks.requestheaders(flow))
    flow.server_conn.timestamp_tcp_setup = 1.0 if reached else None
    flow.error = terr(message)
    rig.hooks.error(flow)
    assert rig.checker.served == [end]
    assert rig.services.under_way.total == 0


def test_a_flow_that_mitmproxy_forgets_ends_with_its_client() -> None:
    """As when mitmproxy crashes over trailers: neither `response` nor `error` comes."""
    rig, flow = Rig(), a_flow()
    rig.run(rig.hooks.requestheaders(flow))
    rig.hooks.client_disconnected(flow.client_conn)
    assert rig.checker.served == [(499, "client-gone")]
    assert rig.services.under_way.total == 0


def test_a_body_without_a_length_is_framed_refused_or_left_out() -> None:
    """mitmproxy writes one behind the head as it comes, where an HTTP/1 site would read a request."""
    rig = Rig()
    taking, secure, plain = (a_flow(alpn=b"h2") for _ in range(3))
    for flow, method, scheme in ((taking, "POST", "http"), (secure, "POST", "https"), (plain, "GET", "http")):
        flow.request.headers = Headers([(b"x-a", b"1")])
        flow.request.http_version, flow.request.authority = "HTTP/2.0", "a.example"
        flow.request.method, flow.request.scheme = method, scheme
    rig.run(*(rig.hooks.requestheaders(flow) for flow in (taking, secure, plain)))
    assert taking.request.headers["transfer-encoding"] == "chunked"
    assert secure.comment == "refused with 411: length-unknown"
    assert callable(plain.request.stream)
    assert plain.request.stream(b"GET /smuggled HTTP/1.1\r\n\r\n") == b""
    assert "transfer-encoding" not in plain.request.headers
    assert plain.request.authority == "a.example"
