"""`cortado run`: serve an application with uvicorn."""

from importlib.util import find_spec
from typing import Any

import click

from cortado.cli.target import load

__all__ = ["run"]

STARTUP_FAILURE = 3
LOG_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")


@click.command()
@click.argument("target", metavar="MODULE[:APP]")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--ws",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "websockets-sansio", "wsproto"]),
    help="The WebSocket implementation.",
)
@click.option("--log-level", default="info", show_default=True, type=click.Choice(LOG_LEVELS))
@click.option(
    "--proxy-headers", is_flag=True, help="Believe X-Forwarded-* headers of a proxy on this machine."
)
@click.option(
    "--forwarded-allow-ips",
    metavar="ADDRESSES",
    help="Believe X-Forwarded-* headers of these proxies, separated by commas; * for any.",
)
@click.pass_context
def run(
    context: click.Context,
    *,
    target: str,
    host: str,
    port: int,
    ws: Any,
    log_level: str,
    proxy_headers: bool,
    forwarded_allow_ips: str | None,
) -> None:
    """Serve an application, on this machine only unless --host says otherwise.

    MODULE is imported from the current directory; APP is the attribute that holds the application, "app" when left
    out. SIGTERM and Ctrl-C end the sessions first and then the server, with status 0; a second Ctrl-C ends it at
    once. A failed start has status 3, a target that can't be found 2.
    """
    if ws == "wsproto" and find_spec("wsproto") is None:
        raise click.UsageError("--ws wsproto needs the package wsproto: pip install wsproto")
    # uvicorn and Starlette are imported here so that `cortado --help` answers at once
    from cortado.adapters import servers
    from cortado.exceptions import StartupError

    try:
        app = load(target)
        config = servers.configure(
            app,
            host=host,
            port=port,
            ws=ws,
            log_level=log_level,
            forwarded_allow_ips=forwarded_allow_ips or ("127.0.0.1,::1" if proxy_headers else None),
        )
        status = servers.run(config)
    except StartupError as error:
        click.echo(f"Error: {error}", err=True)
        status = STARTUP_FAILURE
    context.exit(status)
