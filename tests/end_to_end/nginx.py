"""A real nginx as the upstream: static files, a large one among them, git over smart HTTP, and the sample site behind it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.end_to_end.processes import Running, accepts
from tests.ports import free_port

MIB: Final = 1024 * 1024
LARGE_BYTES: Final = 1024 * MIB

_CONFIG: Final = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{http}
}}
"""

_SITE: Final = """
  include /etc/nginx/mime.types;
  client_max_body_size 0;
  sendfile on;
  keepalive_requests 100000;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port};
    server_tokens off;
    location /files/ {{ alias {folder}/files/; }}
    location /releases/ {{ alias {folder}/files/; }}
    location ~ ^/git/ {{
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_HTTP_EXPORT_ALL "";
      fastcgi_param GIT_PROJECT_ROOT {folder};
      fastcgi_param PATH_INFO $uri;
      fastcgi_pass unix:{folder}/fcgi.sock;
    }}
    location / {{
      proxy_pass {site};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_buffering off;
      proxy_request_buffering off;
    }}
  }}
"""


def make_repository(folder: Path) -> None:
    """A bare repository with one commit at `folder`/git/notes.git."""
    work, bare = folder / "work", folder / "git/notes.git"
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    work.mkdir()
    (work / "README").write_text("Notes on bread.\n")
    subprocess.run([*git, "init", "--quiet", work], check=True)
    subprocess.run([*git, "-C", work, "add", "README"], check=True)
    subprocess.run([*git, "-C", work, "commit", "--quiet", "-m", "Begin"], check=True)
    subprocess.run([*git, "clone", "--quiet", "--bare", work, bare], check=True)


def make_files(folder: Path) -> None:
    """`files/` with a small page and a file of 1 GiB that takes no room on the disk."""
    files = folder / "files"
    files.mkdir()
    (files / "hello.html").write_text("<!doctype html><title>hello</title><p>Hello.\n")
    with (files / "large.bin").open("wb") as large:
        large.truncate(LARGE_BYTES)


def nginx_command(folder: Path, http: str) -> list[str | Path]:
    """Write nginx.conf with what stands in its `http` block; returns the command that runs it in the foreground."""
    # pytest's folders are closed to the user that nginx would otherwise change to.
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(user=user, folder=folder, http=http))
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", folder, "-c", config, "-e", folder / "nginx-error.log"]


@contextlib.contextmanager
def running_nginx(folder: Path, http: str, port: int) -> Iterator[Running]:
    """Run nginx with that `http` block, which listens on this port, until the end of the block."""
    running = Running.start(nginx_command(folder, http), folder / "nginx.log")
    try:
        running.wait_for(lambda: accepts(port), "nginx listens")
        yield running
    finally:
        running.end(seconds=5)


@contextlib.contextmanager
def nginx(folder: Path, site: str) -> Iterator[str]:
    """Run nginx in front of the sample site; gives its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    make_repository(folder)
    make_files(folder)
    port = free_port()
    fcgiwrap = shutil.which("fcgiwrap") or "/usr/sbin/fcgiwrap"
    git = Running.start(
        [fcgiwrap, "-s", f"unix:{folder}/fcgi.sock"],
        folder / "fcgiwrap.log",
        GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*",
    )  # fmt: skip
    git.wait_for((folder / "fcgi.sock").exists, "fcgiwrap listens")
    try:
        with running_nginx(folder, _SITE.format(folder=folder, port=port, site=site), port):
            yield f"http://127.0.0.1:{port}"
    finally:
        git.end()
