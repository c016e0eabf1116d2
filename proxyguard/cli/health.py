"""`proxyguard health`: for HEALTHCHECK and scripts. Asks the admin port whether the instance is ready."""

from __future__ import annotations

import http.client
from pathlib import Path

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import config_option, fail, settings_or_exit


@click.command()
@config_option
@click.option("--timeout", default=3.0, show_default=True, help="Seconds to wait for an answer.")
def health(config: Path | None, timeout: float) -> None:
    """Exit with 0 when the instance is ready to serve, with 1 when it is not.

    \b
    Example (Dockerfile):
      HEALTHCHECK CMD ["proxyguard", "health"]
    """
    admin = settings_or_exit(config).admin
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(admin.host, admin.host)  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(host, admin.port, timeout=timeout)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        text = response.read(200).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        fail(f"admin port {admin}: {error}")
    finally:
        connection.close()
    echo(text)
    raise SystemExit(0 if response.status == 200 else 1)
