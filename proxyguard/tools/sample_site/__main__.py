"""Run the sample site: `python -m proxyguard.tools.sample_site [--host HOST] [--port PORT]`. SIGTERM and SIGINT end it with 0."""

from __future__ import annotations

import asyncio
import signal

import click

from proxyguard.tools.sample_site.server import serve


async def _serve_until_signalled(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[int] = loop.create_future()
    serving = asyncio.ensure_future(serve(host, port, ready))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    ready.add_done_callback(lambda done: click.echo(f"sample site on http://{host}:{done.result()}", err=True))
    try:
        await serving
    except asyncio.CancelledError:
        return


@click.command(help="A small made-up social site, to try the firewall on.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8079, show_default=True, type=click.IntRange(0, 65535))
def main(host: str, port: int) -> None:
    """Run until a signal comes."""
    try:
        asyncio.run(_serve_until_signalled(host, port))
    except OSError as error:
        raise click.ClickException(f"the sample site cannot listen on {host}:{port}: {error.strerror or error}") from error


if __name__ == "__main__":
    main()
