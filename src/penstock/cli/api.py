"""`penstock api`."""

from __future__ import annotations

import errno
import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from penstock.core.settings import Settings


@click.command(name="api")
@click.option("--host", envvar="PENSTOCK_HOST", help="The address to listen on.  [127.0.0.1]")
@click.option(
    "--port", envvar="PENSTOCK_PORT", type=click.IntRange(0, 65535), help="Its port; 0 takes a free one.  [8400]"
)
def command(*, host: str | None, port: int | None) -> None:
    """Serve the HTTP API, and nothing else; workers are processes of their own.

    It refuses to start on a database of another version. Ctrl-C finishes the requests that run.

    \b
    Examples:
      penstock api
      PENSTOCK_DATABASE_URL=postgresql+psycopg://penstock@db/penstock penstock api --host 0.0.0.0
    """
    from penstock.base.logs import configure_logs
    from penstock.wiring.settings import read_settings

    environment = dict(os.environ)
    if host:
        environment["PENSTOCK_HOST"] = host
    if port is not None:
        environment["PENSTOCK_PORT"] = str(port)
    configure_logs()
    serve(read_settings(environment))


def serve(settings: Settings) -> None:
    """Answer requests until somebody asks this process to end."""
    import logging

    import uvicorn

    from penstock.api.app import create_app
    from penstock.api.connections import Connection
    from penstock.core import limits
    from penstock.wiring.server import open_server

    with open_server(settings) as server:
        app = create_app(server)
        config = uvicorn.Config(
            app,
            http=Connection,
            loop="uvloop",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # Else who is on this machine could choose the address that the audit log has of them.
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=settings.proxies,
            timeout_keep_alive=limits.KEEP_ALIVE.value,
            timeout_graceful_shutdown=limits.DRAIN.value,
        )
        with listen(settings.host, settings.port) as listener:
            address, port = listener.getsockname()[:2]
            click.echo(f"listening on http://{address}:{port}", err=True)
            logging.getLogger("uvicorn.error").disabled = True  # what it would tell, the log lines of requests do
            _serving(config, app).run([listener])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, whose queue is long.

    Raises:
        SettingInvalid: when that is not possible; the hint names the option that is to blame.
    """
    from penstock.core.errors import SettingInvalid

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        message = f"the API cannot listen on {host}:{port}: {error.strerror}"
        raise SettingInvalid(message, hint=_listen_hint(error, port)) from error
    return listener


def _listen_hint(error: OSError, port: int) -> str:
    if isinstance(error, socket.gaierror) or error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "Give --host an address of this machine: 127.0.0.1 for itself alone, 0.0.0.0 for the whole network."
    if error.errno == errno.EACCES:
        return f"Ports below 1024 need privileges; choose another than {port} with --port."
    return "Does another server run already? Choose another port with --port."


def _serving(config: Any, app: Any) -> Any:
    import uvicorn

    class Serving(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            # uvicorn's own raises the signal again at the end, which would make a failure of an orderly end.
            app.state.watch.stop()  # event streams end, and with them their connections
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True

    return Serving(config)
