"""A browser behind a product that opens its TLS: `intercepted.py PRODUCT BROWSER URL FOLDER`.

Each product runs as it comes, with an authority of its own, and is ended afterwards.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent

SQUID = """
http_port 127.0.0.1:{port} ssl-bump cert={folder}/both.pem generate-host-certificates=on
sslcrtd_program /usr/lib/squid/security_file_certgen -s {folder}/db -M 4MB
acl start at_step SslBump1
ssl_bump peek start
ssl_bump bump all
sslproxy_cert_error allow all
tls_outgoing_options flags=DONT_VERIFY_PEER
http_access allow all
cache deny all
access_log none
pid_filename none
cache_effective_user proxy
cache_log {folder}/squid.log
coredump_dir {folder}
shutdown_lifetime 0 seconds
"""

PRIVOXY = """
listen-address 127.0.0.1:{port}
confdir {folder}
logdir {folder}
actionsfile all.action
ca-directory {folder}
ca-cert-file ca.pem
ca-key-file ca.key
certificate-directory {folder}/made
trusted-cas-file /etc/ssl/certs/ca-certificates.crt
"""

NODE = """
const { Proxy } = require("http-mitm-proxy");
new Proxy().listen({ host: "127.0.0.1", port: Number(process.argv[1]), sslCaDir: process.argv[2] });
"""


def main() -> None:
    product, browser, url, name = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # Squid gives up what root may
        run(product, browser, url, Path(folder), Path(name))


def run(product: str, browser: str, url: str, folder: Path, profile: Path) -> None:
    (folder / "made").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    authority(folder)
    parts = urlsplit(url)
    process = subprocess.Popen(
        command(product, folder, port, parts.port or 443),
        stdin=subprocess.DEVNULL,
        env=os.environ | {"NODE_TLS_REJECT_UNAUTHORIZED": "0"},
    )
    try:
        wait_for(port)
        if product == "sslsplit":
            ask(browser, url.replace(f":{parts.port}", f":{port}"), profile, None)
        else:
            ask(browser, url, profile, port)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()


def authority(folder: Path) -> None:
    made = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=Interception",
        "-keyout",
        f"{folder}/ca.key",
        "-out",
        f"{folder}/ca.pem",
    )
    subprocess.run(made, check=True, capture_output=True)
    (folder / "both.pem").write_bytes((folder / "ca.pem").read_bytes() + (folder / "ca.key").read_bytes())


def command(product: str, folder: Path, port: int, target: int) -> list[str]:
    match product:
        case "mitmproxy":
            mitmdump = Path(sys.executable).parent / "mitmdump"
            return [
                str(mitmdump),
                "-q",
                "--listen-host",
                "127.0.0.1",
                "-p",
                str(port),
                "--ssl-insecure",
                "--set",
                f"confdir={folder}",
            ]
        case "squid":
            subprocess.run(
                ("/usr/lib/squid/security_file_certgen", "-c", "-s", f"{folder}/db", "-M", "4MB"), check=True, capture_output=True
            )
            for place in (folder, *folder.rglob("*")):
                shutil.chown(place, "proxy", "proxy")
            (folder / "squid.conf").write_text(SQUID.format(port=port, folder=folder))
            return ["squid", "-N", "-n", f"port{port}", "-f", f"{folder}/squid.conf"]
        case "sslsplit":
            return [
                "sslsplit",
                "-k",
                f"{folder}/ca.key",
                "-c",
                f"{folder}/ca.pem",
                "-u",
                "root",
                "https",
                "127.0.0.1",
                str(port),
                "127.0.0.1",
                str(target),
            ]
        case "privoxy":
            (folder / "all.action").write_text("{+https-inspection +ignore-certificate-errors}\n/\n")
            (folder / "privoxy.conf").write_text(PRIVOXY.format(port=port, folder=folder))
            return ["privoxy", "--no-daemon", f"{folder}/privoxy.conf"]
        case "http-mitm-proxy":
            return [
                "node",
                "-e",
                NODE.replace('"http-mitm-proxy"', f'"{HERE}/node/node_modules/http-mitm-proxy"'),
                str(port),
                str(folder),
            ]
        case _:
            sys.exit(f"no product {product}")


def wait_for(port: int) -> None:
    for _ in range(150):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit("the product does not listen")


def ask(browser: str, url: str, folder: Path, proxy: int | None) -> None:
    if browser == "firefox":
        through = (
            () if proxy is None
            else ("network.proxy.type=1", 'network.proxy.ssl="127.0.0.1"', f"network.proxy.ssl_port={proxy}")
        )  # fmt: skip
        subprocess.run((sys.executable, str(HERE / "firefox.py"), url, str(folder), *through), check=True)
        return
    flags = () if proxy is None else (f"--proxy-server=127.0.0.1:{proxy}", "--proxy-bypass-list=<-loopback>")
    subprocess.run(
        (
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
            "--ignore-certificate-errors", f"--user-data-dir={folder}/chromium", *flags, "--dump-dom", url,
        ),
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


main()
