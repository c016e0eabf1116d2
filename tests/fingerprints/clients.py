"""The clients: how each asks for one address, with its own header fields or with copied ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from tests.fingerprints.browsers import BROWSERS
from tests.fingerprints.client import IMITATOR, LIBRARY, OPENSSL_1, PROGRAMS, PYTHON, Client, Command
from tests.fingerprints.python_clients import IMITATORS, LIBRARIES

JARS: Final = (
    "okhttp", "okio", "httpclient", "httpcore", "httpclient5", "httpcore5", "httpcore5-h2", "commons-logging", "slf4j-api",
    "slf4j-nop",
)  # fmt: skip


def _curl(*options: str) -> Command:
    def command(url: str, headers: Mapping[str, str]) -> Sequence[str]:
        fields = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        return ("curl", "-sk", "-o", "/dev/null", *options, *fields, url)

    return command


def _wget(*command: str) -> Command:
    def ask(url: str, headers: Mapping[str, str]) -> Sequence[str]:
        fields = [f"--header={name}: {value}" for name, value in headers.items() if name != "User-Agent"]
        agent = [f"--user-agent={headers['User-Agent']}"] if headers else []
        return (*command, *agent, *fields, url)

    return ask


def _named(option: str, *command: str) -> Command:
    """A program that can be given a user agent and no other field."""

    def ask(url: str, headers: Mapping[str, str]) -> Sequence[str]:
        agent = headers.get("User-Agent", "")
        match command[0]:
            case "lynx":
                given = [f"{option}={agent}"]
            case "w3m":
                given = [option, f"user_agent={agent}"]
            case _:
                given = [option, agent]
        return (*command, *(given if agent else ()), url)

    return ask


def _program(*command: str) -> Command:
    """A program of the folder `programs`, which reads the fields as JSON."""
    return lambda url, headers: (*command, url, json.dumps(dict(headers)))


def _node(name: str, needs: str = "", *, speaks: str = "node", kind: str = LIBRARY) -> Client:
    command = _program("node", "--no-warnings", str(PROGRAMS / "node/client.mjs"), name)
    return Client(f"node-{name}", kind, command, speaks, f"node:{needs}" if needs else "node")


def _go(environment: str) -> Command:
    return _program(
        "sh", "-c", f'GO111MODULE=off GOCACHE=/tmp/go-build {environment} exec go run "$0" "$@"', str(PROGRAMS / "client.go")
    )


def _mono(library: str) -> Client:
    """A library of .NET, by Mono."""
    command = _program("sh", "-c", f'{_MCS} && exec mono "$0/client.exe" "$@"', "{folder}", str(PROGRAMS / "Client.cs"), library)
    return Client(f"mono-{library}", LIBRARY, command, "", "mcs")


def _dotnet(library: str) -> Client:
    """The same by Microsoft's runtime, which a package of Python brings. It wants a libssl that Debian has no more."""
    find = f"{PYTHON} -c 'from dotnetcore2 import runtime; print(runtime.get_runtime_path())'"
    options = """{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "3.1.0"}}}"""
    run = f"""{_MCS} && echo '{options}' > "$0/client.runtimeconfig.json" && mv "$0/client.exe" "$0/client.dll"
        export LD_LIBRARY_PATH={OPENSSL_1} CLR_OPENSSL_VERSION_OVERRIDE=1.1 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
        exec "$({find})" "$0/client.dll" "$@\""""
    command = _program("sh", "-c", run, "{folder}", str(PROGRAMS / "Client.cs"), library)
    return Client(f"dotnet-{library}", LIBRARY, command, "", f"{OPENSSL_1}/libssl.so.1.1")


def _java(library: str) -> Client:
    def command(url: str, headers: Mapping[str, str]) -> Sequence[str]:
        jars = ":".join(f"/usr/share/java/{jar}.jar" for jar in JARS)
        options = ("-Djdk.httpclient.allowRestrictedHeaders=host", "-Djdk.internal.httpclient.disableHostnameVerification=true")
        lines = "\n".join(f"{name}: {value}" for name, value in headers.items())
        return ("java", *options, "-cp", jars, str(PROGRAMS / "Client.java"), library, url, lines)

    return Client(f"java-{library}", LIBRARY, command, "java", "/usr/share/java/okhttp.jar")


def _perl(library: str) -> Client:
    def command(url: str, headers: Mapping[str, str]) -> Sequence[str]:
        return ("perl", str(PROGRAMS / "client.pl"), library, url, *(part for field in headers.items() for part in field))

    return Client(f"perl-{library}", LIBRARY, command, "", "/usr/share/perl5/LWP/Protocol/https.pm")


def _script(interpreter: str, program: str, library: str, speaks: str, needs: str) -> Client:
    command = _program(interpreter, str(PROGRAMS / program), library)
    return Client(f"{interpreter}-{library}", LIBRARY, command, speaks, needs or interpreter)


_MCS: Final = 'mcs -out:"$0/client.exe" -r:System.Net.Http.dll "$1" && shift'
_WGET: Final = ("-q", "-t", "1", "--no-check-certificate", "-O", "/dev/null")
_ARIA: Final = ("aria2c", "-q", "--check-certificate=false", "--allow-overwrite=true", "-d", "{folder}", "-o", "aria2")
_LINKS: Final = ("-ssl.certificates", "0")
_SOUP: Final = "/usr/lib/x86_64-linux-gnu/girepository-1.0/Soup-3.0.typelib"
_GEM: Final = "/usr/share/doc/ruby-{}/copyright"
_GUZZLE: Final = "/usr/share/php/GuzzleHttp/autoload.php"

TOOLS: Final[tuple[Client, ...]] = (
    Client("curl-h2", LIBRARY, _curl("--http2"), "curl", "curl"),
    Client("curl-h1", LIBRARY, _curl("--http1.1"), "curl", "curl"),
    Client("wget", LIBRARY, _wget("wget", *_WGET), "unknown", "wget"),
    Client("wget2", LIBRARY, _wget("wget2", *_WGET), "unknown", "wget2"),
    Client("aria2", LIBRARY, _wget(*_ARIA), "unknown", "aria2c"),
    Client("soup", LIBRARY, _program("/usr/bin/python3", str(PROGRAMS / "soup.py")), "", _SOUP),
    Client("httrack", LIBRARY, _named("-F", "httrack", "-O", "{folder}", "-r1", "-q", "-s0"), "", "httrack", copies=False),
    Client("lynx", LIBRARY, _named("-useragent", "lynx", "-dump", f"-cfg={PROGRAMS}/lynx.cfg"), "", "lynx", copies=False),
    Client("w3m", LIBRARY, _named("-o", "w3m", "-dump", "-o", "ssl_verify_server=0"), "", "w3m", copies=False),
    Client("links", LIBRARY, _named("-http.fake-user-agent", "links", "-dump", *_LINKS), "", "links", copies=False),
)

_RUBY: Final = {
    "net-http": "ruby",
    "faraday": "ruby",
    "httparty": "ruby",
    "excon": "ruby",
    "httpclient": "ruby",
    "rest-client": "ruby",
    "typhoeus": "curl",
    "mechanize": "ruby",
}
_PHP: Final = {"stream": "php", "curl": "curl", "guzzle": "curl"}

LANGUAGES: Final[tuple[Client, ...]] = (
    *(_node(name) for name in ("https", "http2", "fetch")),
    *(_node(name, name) for name in ("undici", "axios", "got", "node-fetch", "needle", "superagent")),
    *(_node(f"{name}-h2", name) for name in ("undici", "got")),
    _node("got-scraping", "got-scraping", speaks=""),
    *(
        _script("ruby", "client.rb", name, speaks, "" if name == "net-http" else _GEM.format(name))
        for name, speaks in _RUBY.items()
    ),
    *(_script("php", "client.php", name, speaks, _GUZZLE if name == "guzzle" else "") for name, speaks in _PHP.items()),
    *(_java(name) for name in ("http", "url", "okhttp", "apache4", "apache5")),
    Client("go-h1", LIBRARY, _go(""), "go", "go"),
    Client("go-h2", LIBRARY, _go("HTTP2=1"), "go", "go"),
    *(_perl(name) for name in ("lwp", "http-tiny", "mojo", "furl")),
    *(_mono(name) for name in ("http-client", "web-request")),
    *(_dotnet(name) for name in ("http-client", "http-client-h2", "web-request")),
)
NODE_IMITATORS: Final[tuple[Client, ...]] = (
    *(_node(f"impit:{browser}", "impit", speaks="", kind=IMITATOR) for browser in ("chrome", "firefox")),
    *(_node(f"wreq:{browser}", "wreq-js", speaks="", kind=IMITATOR) for browser in ("chrome_142", "firefox_144")),
)

CLIENTS: Final = (*TOOLS, *LIBRARIES, *LANGUAGES, *IMITATORS, *NODE_IMITATORS, *BROWSERS)
