"""Which request fields are dropped because only a proxy can vouch for what they say, and which ordinary ones pass."""

from __future__ import annotations

import pytest

from proxyguard.http import claims
from proxyguard.http.claims import MAX_NAME_BYTES, MAX_REMEMBERED, is_claim, may_be_trailer


def words(text: str) -> list[str]:
    """The names of a table."""
    return text.split()


CLAIMS = words("""
Tailscale-User-Login X-Token-Subject X-Token-User-Email X-ClientAddress RemoteAddress X-Custom-IP-Authorization
Forwarded X-Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port X-Forwarded-Server X-Forwarded-Prefix
X-Forwarded-Uri X-Forwarded-Path X-Forwarded-Method X-Forwarded-Ssl X-Forwarded-Scheme X-Forwarded-User X-Forwarded-Email
X-Forwarded-Groups X-Forwarded-Access-Token X-Forwarded-Client-Cert X-Forwarded-Tls-Client-Cert X-Forwarded-By Forwarded-For
Forwarded-For-Ip Forwarded-Host X-Forward-For X-Vercel-Forwarded-For X-Original-Forwarded-For X-Ms-Forwarded-Client-Ip
CloudFront-Forwarded-Proto Http-X-Forwarded-For Http-Forwarded Fly-Forwarded-Port X-Envoy-External-Address X-Envoy-Original-Path
Client-IP X-Client-IP X-ClientIP True-Client-IP X-True-Client-IP X-Cluster-Client-IP Fastly-Client-IP Fly-Client-IP
Proxy-Client-IP WL-Proxy-Client-IP WL-Proxy-SSL WL-Proxy-Client-Cert X-Sucuri-ClientIP Incap-Client-IP X-NF-Client-Connection-IP
CF-Connecting-IP CF-Connecting-IPv6 CF-Pseudo-IPv4 DO-Connecting-IP X-Connecting-IP X-Real-IP Ali-CDN-Real-IP X-RealIP
X-ProxyUser-Ip X-User-IP X-Appengine-User-IP X-Appengine-User-Email X-Appengine-Cron X-Azure-ClientIP X-Azure-SocketIP
CDN-Src-IP X-Remote-IP X-Remote-Addr Remote-Addr X-Originating-IP X-Source-IP X-IP X-Client-Address X-Client-Port
X-Client-IP-Port CloudFront-Viewer-Address X-Coming-From X-Host X-Real-Host X-Original-Host X-Http-Host-Override X-Scheme
X-Url-Scheme Front-End-Https X-Proto X-Ssl CF-Visitor Disguised-Host X-Original-Url X-Original-Uri X-Original-Method
X-Rewrite-Url X-Rewrite-Uri X-Rewritten-Uri X-Request-Uri X-Http-DestinationUrl X-Replaced-Path X-Script-Name Script-Name
Path-Info X-Ingress-Path X-WAWS-Unencoded-URL X-Invoke-Path X-Matched-Path X-Middleware-Subrequest X-Middleware-Rewrite
X-Accel-Redirect X-Accel-Mapping X-Accel-Internal X-Sendfile X-Sendfile-Type Remote-User X-Remote-User X-Remote-Group
X-Remote-Groups X-Remote-Extra-Scopes Remote-Email Remote-Name X-Auth-Request-User X-Auth-Request-Email X-Authenticated-User
X-Authenticated-Userid X-WebAuth-User X-Consumer-Username X-Consumer-Custom-Id X-Credential-Identifier X-Amzn-Oidc-Identity
X-Amzn-Oidc-Data X-Ms-Client-Principal X-Ms-Client-Principal-Name X-Goog-Authenticated-User-Email X-Authentik-Username
X-Vouch-User X-Proxy-User CF-Access-Authenticated-User-Email X-Endpoint-Api-Userinfo X-Jwt-Claim-Sub X-MSISDN OIDC-Claim-Sub
Shib-Session-Id L5d-Client-Id L5d-Dtab X-SSL-Client-Verify X-SSL-Client-Cert X-SSL-Client-S-DN SSL-Client-Cert Client-Cert
Client-Cert-Chain X-Client-Cert X-Client-Certificate X-Client-Verify X-Client-DN X-ARR-ClientCert X-ARR-SSL
X-Amzn-Mtls-Clientcert X-TLS-Client-Auth X-XFCC Proxy Proxy-Connection Proxy-Authorization Proxy-Host X-Proxy-Host
X-Istio-Attributes
""")

ORDINARY = words("""
X-Token X-Token-Type X-User-Address X-Auth-User X-Auth-Email Impersonate-User
Host Accept Accept-Charset Accept-Encoding Accept-Language Authorization Cache-Control Connection Content-Encoding
Content-Language Content-Length Content-Type Content-Disposition Content-Range Cookie Date Depth Destination DNT Early-Data
Expect From If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Last-Event-ID Lock-Token
Max-Forwards Origin Overwrite Pragma Prefer Priority Range Referer Save-Data Sec-CH-UA Sec-CH-UA-Full-Version-List
Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-CH-Viewport-Width Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-GPC
Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-WebSocket-Version Service-Worker Signature Signature-Input TE Timeout Trailer
Translate Upgrade-Insecure-Requests User-Agent Via X-Requested-With X-CSRF-Token X-CSRFToken X-XSRF-Token X-Client-Version
X-Client-Data X-Client-Id X-Client-Name X-Client-Info X-Client-Trace-Id X-Client-Transaction-Id X-Client-Request-Id
X-Client-UUID X-Client-Platform X-Client-App X-Client-Timezone X-Client-Secret X-Client-Fingerprint X-API-Key X-API-Version
X-App-Version X-App-Id X-Auth-Token X-Auth-Key X-Access-Token X-User-Id X-User-Agent X-User-Token X-Username X-Device-Id
X-Device-Info X-Session-Id X-Session-Token X-Request-Id X-Correlation-Id X-Trace-Id X-B3-TraceId X-B3-SpanId Traceparent
Tracestate Baggage X-Amzn-Trace-Id X-Cloud-Trace-Context X-Datadog-Trace-Id Sentry-Trace X-Amz-Date X-Amz-Content-Sha256
X-Amz-Security-Token X-Amz-Target X-Amz-User-Agent X-Goog-Api-Key X-Goog-Api-Client X-Goog-AuthUser X-Goog-Upload-Protocol
X-Goog-Encode-Response-If-Executable X-Android-Package X-Android-Cert X-Ios-Bundle-Identifier X-Firebase-AppCheck
X-Firebase-Locale X-GitHub-Event X-GitHub-Delivery X-Hub-Signature-256 X-Gitlab-Token X-Shopify-Topic X-Shopify-Shop-Domain
Stripe-Signature X-Twilio-Signature X-Slack-Signature X-Line-Signature X-Telegram-Bot-Api-Secret-Token X-Twitter-Auth-Type
X-Twitter-Active-User X-Twitter-Client-Language X-Ig-App-Id X-Fb-Lsd X-Asbd-Id X-Youtube-Client-Name X-Youtube-Client-Version
X-Origin X-Frontend-Version X-Http-Version X-Timestamp X-Nonce X-Signature X-Upload-Content-Type X-Upload-Content-Length
Upload-Offset Upload-Length Upload-Metadata Tus-Resumable X-File-Name X-File-Size X-Inertia X-Inertia-Version X-Livewire
X-Turbo-Request-Id Turbo-Frame HX-Request HX-Current-URL HX-Target HX-Trigger X-PJAX X-PJAX-Container X-Nextjs-Data
X-Middleware-Prefetch Next-Router-State-Tree Next-Action RSC X-SvelteKit-Invalidated Grpc-Timeout X-Grpc-Web
X-Parse-Application-Id Apollo-Require-Preflight X-Apollo-Operation-Name X-Hasura-Role X-WP-Nonce X-Drupal-Theme
X-Atlassian-Token X-Redmine-API-Key X-Matrix-Token X-Plex-Token X-Emby-Authorization OCS-APIRequest OC-Checksum X-OC-Mtime
X-Wap-Profile X-Purpose Purpose X-Moz X-ATT-DeviceId X-Page-Title X-Zip-Code X-Ship-To X-Tip-Amount X-Wallet-Address
X-Email-Address X-MAC-Address X-Shop-Id X-Tenant-Id X-Organization X-Workspace-Id X-Locale X-Timezone X-Country X-Feature-Flags
X-Experiment X-Debug X-No-Cache X-Bypass-Cache X-Callback-URL X-Return-URL X-Referer-Url CF-IPCountry CF-Ray X-Azure-Ref
CDN-Loop X-Goog-Iap-Jwt-Assertion CF-Access-Jwt-Assertion X-Transport X-Report-Id X-Recipe X-Script X-Pipeline X-Sslkeyring
X-Remotecontrol
""")

NOT_IN_TRAILERS = words("""
Host Content-Length Content_Length Content.Length Transfer-Encoding Transfer_Encoding Connection TE Trailer Upgrade Expect
Cookie Set-Cookie Authorization Content-Type Content-Encoding Range If-Match If-None-Match Cache-Control Via User-Agent Origin
Referer Max-Forwards X-HTTP-Method-Override X_Http_Method_Override X-HTTP-Method X-Method-Override
""")

TRAILERS = words("""
Grpc-Status Grpc-Message Grpc-Status-Details-Bin Server-Timing Digest Content-Digest X-Checksum ETag X-Amz-Checksum-Sha256
""")


def test_the_tables_are_as_long_as_they_look() -> None:
    assert len(set(CLAIMS)) >= 150
    assert len(set(ORDINARY)) >= 150
    assert not {name.lower() for name in CLAIMS} & {name.lower() for name in ORDINARY}


def spellings(name: str) -> set[str]:
    return {name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", "."), name.replace("-", "_", 1)}


def test_a_claim_is_dropped_in_every_spelling() -> None:
    spelt = {each for name in CLAIMS for each in spellings(name)}
    assert [each for each in spelt if not is_claim(each.encode())] == []
    assert [each for each in spelt if may_be_trailer(each.encode())] == []


def test_an_ordinary_field_passes() -> None:
    assert [name for name in ORDINARY if is_claim(name.encode())] == []


@pytest.mark.parametrize("name", NOT_IN_TRAILERS)
def test_what_changes_a_request_is_no_trailer(name: str) -> None:
    assert not may_be_trailer(name.encode())


@pytest.mark.parametrize("name", TRAILERS)
def test_an_ordinary_trailer_passes(name: str) -> None:
    assert may_be_trailer(name.encode())


@pytest.mark.parametrize("name", [b"", b"-", b"---", b"_", b"\xff", b"x" * 100_000, b"x-" * 50_000, b"ip-" * 30_000])
def test_odd_names_have_an_answer(name: bytes) -> None:
    assert is_claim(name) in (True, False)


def test_the_memory_of_names_is_bounded() -> None:
    for number in range(3 * MAX_REMEMBERED):
        is_claim(b"x-made-up-%d" % number)
    is_claim(b"y" * (MAX_NAME_BYTES + 1))
    known = claims._known  # the bound is what this test is about
    assert len(known) <= MAX_REMEMBERED
    assert max(map(len, known)) <= MAX_NAME_BYTES
