"""Clients that are libraries of Python."""

from __future__ import annotations

from typing import Final

from tests.fingerprints.client import IMITATOR, Client, python

_URLLIB: Final = (
    "import ssl, urllib.request as u\n"
    "u.urlopen(u.Request(url, headers=headers or {}), context=ssl._create_unverified_context())\n"
)
_HTTP_CLIENT: Final = (
    "import http.client, ssl\nfrom urllib.parse import urlsplit\nu = urlsplit(url)\n"
    "c = http.client.HTTPSConnection(u.netloc, context=ssl._create_unverified_context())\n"
    "c.request('GET', u.path, headers=headers or {})\nc.getresponse().read()\n"
)
_AIOHTTP: Final = (
    "import aiohttp, asyncio\nasync def go():\n"
    " async with aiohttp.ClientSession() as s, s.get(url, headers=headers, ssl=False) as r: await r.read()\nasyncio.run(go())\n"
)
_PYCURL: Final = (
    "import pycurl, io\nc = pycurl.Curl()\nc.setopt(c.URL, url)\nc.setopt(c.SSL_VERIFYPEER, 0)\nc.setopt(c.SSL_VERIFYHOST, 0)\n"
    "c.setopt(c.WRITEDATA, io.BytesIO())\nc.setopt(c.HTTPHEADER, [f'{k}: {v}' for k, v in (headers or {}).items()])\n"
    "c.perform()\n"
)
_TORNADO: Final = (
    "import asyncio\nfrom tornado.httpclient import AsyncHTTPClient\n"
    "async def go(): await AsyncHTTPClient().fetch(url, headers=headers, validate_cert=False)\nasyncio.run(go())\n"
)
_TREQ: Final = (
    "import treq\nfrom twisted.internet import ssl, task\nfrom twisted.internet.defer import ensureDeferred\n"
    "from twisted.web.client import Agent\nfrom twisted.web.iweb import IPolicyForHTTPS\nfrom zope.interface import implementer\n"
    "@implementer(IPolicyForHTTPS)\nclass Any:\n def creatorForNetloc(self, host, port):\n"
    "  return ssl.CertificateOptions(verify=False)\n"
    "async def go(reactor):\n c = treq.client.HTTPClient(Agent(reactor, Any()))\n"
    " await (await c.get(url, headers=headers)).text()\n"
    "task.react(lambda r: ensureDeferred(go(r)))\n"
)
_SCRAPY: Final = (
    "import scrapy\nfrom scrapy.crawler import CrawlerProcess\nclass S(scrapy.Spider):\n name = 's'\n async def start(self):\n"
    "  yield scrapy.Request(url, headers=headers)\n def parse(self, response): pass\n"
    "p = CrawlerProcess({'LOG_ENABLED': False, 'ROBOTSTXT_OBEY': False})\np.crawl(S)\np.start()\n"
)
_MECHANIZE: Final = (
    "import mechanize, ssl\nb = mechanize.Browser()\nb.set_handle_robots(False)\n"
    "b.set_ca_data(context=ssl._create_unverified_context())\n"
    "b.open(mechanize.Request(url, headers=headers or {})).read()\n"
)
_HTTPLIB2: Final = "import httplib2\nhttplib2.Http(disable_ssl_certificate_validation=True).request(url, headers=headers)\n"
_REQUESTS: Final = "import requests\nrequests.get(url, headers=headers, verify=False)\n"
_URLLIB3: Final = "import urllib3\nurllib3.PoolManager(cert_reqs='CERT_NONE').request('GET', url, headers=headers)\n"
_PYREQWEST: Final = (
    "from pyreqwest.client import SyncClientBuilder\n"
    "with SyncClientBuilder().danger_accept_invalid_certs(True).build() as c:\n"
    " c.get(url).headers(headers or {}).build().send().text()\n"
)
_HTTPR: Final = "import httpr\nhttpr.Client(verify=False, headers=headers).get(url)\n"

LIBRARIES: Final[tuple[Client, ...]] = (
    python("urllib", _URLLIB),
    python("http.client", _HTTP_CLIENT, needs="http"),
    # Of their own: niquests brings a urllib3 that replaces the ordinary one, and speaks HTTP/2.
    python("requests", _REQUESTS, here=True),
    python("urllib3", _URLLIB3, here=True),
    python("urllib3-future", _URLLIB3, needs="urllib3_future"),
    python("httpx-h1", "import httpx\nhttpx.Client(verify=False).get(url, headers=headers)\n"),
    python("httpx-h2", "import httpx\nhttpx.Client(verify=False, http2=True).get(url, headers=headers)\n", needs="httpx"),
    python("aiohttp", _AIOHTTP),
    python("niquests", "import niquests\nniquests.get(url, headers=headers, verify=False)\n"),
    python("pycurl", _PYCURL, speaks="curl"),
    python("tornado", _TORNADO),
    python("treq", _TREQ),
    python("scrapy", _SCRAPY),
    python("mechanize", _MECHANIZE),
    python("httplib2", _HTTPLIB2),
    python("pyreqwest", _PYREQWEST, speaks="rust"),
    python("httpr", _HTTPR, speaks="rust"),
)


def _imitator(library: str, profile: str, script: str) -> Client:
    text = script.replace("PROFILE", profile)
    return python(f"{library}-{profile}", text, kind=IMITATOR, speaks="", needs=library)


_CFFI: Final = "import curl_cffi\ncurl_cffi.get(url, impersonate='PROFILE', headers=headers, verify=False)\n"
_PRIMP: Final = (
    "import primp\nprimp.Client(impersonate='PROFILE', impersonate_os='windows', verify=False, headers=headers).get(url)\n"
)
_TLSC: Final = (
    "import tls_client\ns = tls_client.Session(client_identifier='PROFILE', random_tls_extension_order=True)\n"
    "s.get(url, headers=headers, insecure_skip_verify=True)\n"
)
_WREQ: Final = (
    "import asyncio, wreq\nasync def go():\n c = wreq.Client(emulation=wreq.Emulation.PROFILE, tls_verify=False)\n"
    " await c.get(url, headers=headers)\nasyncio.run(go())\n"
)
_RNET: Final = (
    "import asyncio, rnet\nasync def go():\n c = rnet.Client(impersonate=rnet.Impersonate.PROFILE, verify=False)\n"
    " await c.get(url, headers=headers)\nasyncio.run(go())\n"
)
_CLOAK: Final = "import httpcloak\nhttpcloak.Session(preset='PROFILE', verify=False).get(url, headers=headers)\n"

IMITATORS: Final[tuple[Client, ...]] = (
    *(
        _imitator("curl_cffi", name, _CFFI)
        for name in ("chrome120", "chrome131", "chrome136", "chrome146", "chrome152", "edge101")
    ),
    *(_imitator("curl_cffi", profile, _CFFI) for profile in ("firefox147", "safari260")),
    *(_imitator("primp", profile, _PRIMP) for profile in ("chrome_146", "chrome_152", "edge_153", "firefox_148")),
    *(_imitator("tls_client", profile, _TLSC) for profile in ("chrome_120", "chrome_124", "chrome_131", "firefox_133")),
    *(_imitator("wreq", profile, _WREQ) for profile in ("Chrome146", "Chrome154", "Edge147", "Firefox152")),
    *(_imitator("rnet", profile, _RNET) for profile in ("Chrome131", "Chrome137", "Edge134", "Firefox139")),
    _imitator("httpcloak", "chrome-latest", _CLOAK),
)
