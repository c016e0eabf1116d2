"""Real servers that say which handler was reached, for tests of how each reads paths and parameters. Each is killed at the end.

Each answers `SIGNUP` at `/signup` (or `/signup.php`), `ADMIN` at `/admin/`, and `SEARCH` with the numbers that it read in `page`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from tests.end_to_end.nginx import nginx_command
from tests.end_to_end.processes import Running, accepts
from tests.ports import free_port

FILES: Final = Path(__file__).parent / "spellings"
TOMCAT: Final = Path("/usr/share/tomcat10")
GEMS: Final = Path("/usr/share/rubygems-integration/all/specifications")
APACHE_MODULES: Final = Path("/usr/lib/apache2/modules")

_NGINX: Final = """
  default_type text/plain;
  server {{
    listen 127.0.0.1:{port}; root {folder}/root; index index.html;
    location = /signup {{ return 200 "SIGNUP $request_method"; }}
    location = /search {{ return 200 "SEARCH $arg_page"; }}
  }}
"""

_APACHE: Final = """
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
Mutex file:{folder}
{user}
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule php_module {modules}/{php}
TypesConfig /etc/mime.types
DocumentRoot {root}
DirectoryIndex index.php
StartServers 1
<FilesMatch "\\.php$">
  SetHandler application/x-httpd-php
</FilesMatch>
"""

_TOMCAT: Final = """<Server port="-1"><Service name="Catalina">
<Connector port="{port}" address="127.0.0.1" protocol="HTTP/1.1" relaxedPathChars="|" />
<Engine name="Catalina" defaultHost="localhost"><Host name="localhost" appBase="{folder}/webapps" autoDeploy="false" /></Engine>
</Service></Server>
"""


class SpellingServer(NamedTuple):
    """A server: the preset for it, what it needs to be there, and how it is started on a port."""

    preset: str
    is_there: Callable[[], bool]
    command: Callable[[Path, int], Sequence[str | Path]]
    sign_up: str = "/signup"
    search: str = "/search"
    admin: str = "/admin"
    reached: tuple[str, ...] = ()
    """Other spellings of the sign-up page that are known to reach it."""


def _nginx(folder: Path, port: int) -> Sequence[str | Path]:
    (folder / "root/admin").mkdir(parents=True)
    (folder / "root/admin/index.html").write_text("ADMIN")
    return nginx_command(folder, _NGINX.format(folder=folder, port=port))


def _apache(folder: Path, port: int) -> Sequence[str | Path]:
    root = folder / "root"
    shutil.copytree(FILES / "php", root)
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    php = next(APACHE_MODULES.glob("libphp*.so")).name
    config = folder / "apache.conf"
    user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    config.write_text(_APACHE.format(folder=folder, port=port, root=root, modules=APACHE_MODULES, php=php, user=user))
    # In a session of its own: when it ends, Apache sends SIGTERM to its whole process group.
    return ("setsid", "/usr/sbin/apache2", "-D", "FOREGROUND", "-f", config)


def _php(_folder: Path, port: int) -> Sequence[str | Path]:
    return ("php", "-S", f"127.0.0.1:{port}", "-t", FILES / "php")


def _express(name: str) -> Callable[[Path, int], Sequence[str | Path]]:
    return lambda _folder, port: ("node", FILES / "express.js", name, str(port))


def _gunicorn(module: str) -> Callable[[Path, int], Sequence[str | Path]]:
    return lambda _folder, port: (
        sys.executable, "-m", "gunicorn", "--chdir", FILES, "--bind", f"127.0.0.1:{port}", "--threads", "4",
        f"{module}:application",
    )  # fmt: skip


def _puma(name: str) -> Callable[[Path, int], Sequence[str | Path]]:
    return lambda _folder, port: (
        "puma",
        "--quiet",
        "--environment",
        "production",
        "--bind",
        f"tcp://127.0.0.1:{port}",
        FILES / name,
    )


def _has_gem(name: str) -> Callable[[], bool]:
    """Whether Puma and a library of Ruby are there, as Debian installs them."""
    return lambda: shutil.which("puma") is not None and bool(list(GEMS.glob(f"{name}-[0-9]*.gemspec")))


def _tomcat(folder: Path, port: int) -> Sequence[str | Path]:
    for name in ("conf", "logs", "temp", "work"):
        (folder / name).mkdir()
    shutil.copytree(FILES / "tomcat", folder / "webapps/ROOT")
    (folder / "conf/server.xml").write_text(_TOMCAT.format(folder=folder, port=port))
    shutil.copy("/etc/tomcat10/web.xml", folder / "conf/web.xml")
    path = f"{TOMCAT}/bin/bootstrap.jar:{TOMCAT}/bin/tomcat-juli.jar"
    return ("java", "-Xmx256m", "-cp", path, f"-Dcatalina.home={TOMCAT}", f"-Dcatalina.base={folder}",
            f"-Djava.io.tmpdir={folder}/temp", "org.apache.catalina.startup.Bootstrap", "start")  # fmt: skip


def _has(program: str) -> Callable[[], bool]:
    return lambda: shutil.which(program) is not None


def _has_express() -> bool:
    return shutil.which("node") is not None and (FILES / "node_modules/express5").exists()


def _has_module(name: str) -> Callable[[], bool]:
    def is_there() -> bool:
        with contextlib.suppress(ImportError):
            __import__(name)
            __import__("gunicorn")
            return True
        return False

    return is_there


SERVERS: Final[dict[str, SpellingServer]] = {
    "nginx": SpellingServer("nginx", _has("nginx"), _nginx, admin="/admin/index.html", reached=("//signup", "/%73ignup")),
    "express4": SpellingServer("express", _has_express, _express("express4"), reached=("/SIGNUP", "/signup/", "/SIGNUP/")),
    "express5": SpellingServer("express", _has_express, _express("express5"), reached=("/SIGNUP", "/signup/", "/SIGNUP/")),
    "php": SpellingServer("php", _has("php"), _php, "/signup.php", "/search.php", "/signup.php", ("/signup.php/x",
    "/signup.php/")),
    # whose /admin/index.php answers for every path below /admin/ that is no file: for a rule, that is a prefix
    "apache": SpellingServer(
        "php", lambda: bool(list(APACHE_MODULES.glob("libphp*.so"))), _apache, "/signup.php", "/search.php", "/admin/index.php",
        ("/signup.php/x", "//signup.php"),
    ),
    "django": SpellingServer("django", _has_module("django"), _gunicorn("django_site"), reached=("/%73ignup",)),
    "flask": SpellingServer("django", _has_module("flask"), _gunicorn("flask_site"), reached=("/%73ignup",)),
    "rails": SpellingServer("rails", _has_gem("railties"), _puma("rails.ru"), reached=("/signup/", "/signup.json", "//signup")),
    "sinatra": SpellingServer("rails", _has_gem("sinatra"), _puma("sinatra.ru"), reached=("/%73ignup",)),
    "tomcat": SpellingServer(
        "tomcat", lambda: (TOMCAT / "bin/bootstrap.jar").exists() and shutil.which("java") is not None, _tomcat,
        admin="/admin/index.jsp", reached=("/signup;a=1", "/;x/signup", "/signup;a%2Fb"),
    ),
}  # fmt: skip


@contextlib.contextmanager
def running(names: Sequence[str], folder: Path) -> Iterator[dict[str, int]]:
    """Start servers side by side; gives their ports."""
    with contextlib.ExitStack() as stack:
        started: dict[str, tuple[Running, int]] = {}
        for name in names:
            # Not below pytest's folder, which only its user can enter: Apache's workers are another.
            own, port = Path(stack.enter_context(TemporaryDirectory())), free_port()
            own.chmod(0o755)
            process = Running.start(SERVERS[name].command(own, port), folder / f"{name}.log")
            stack.callback(process.end)
            started[name] = process, port
        for name, (process, port) in started.items():
            process.wait_for(lambda port=port: accepts(port), f"{name} listens")  # type: ignore[misc]  # bound at once
        yield {name: port for name, (_, port) in started.items()}
