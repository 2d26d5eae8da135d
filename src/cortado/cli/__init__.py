"""The command line; a command imports what it needs when it runs."""

import click

from cortado.cli import beans, routes, run

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cortado", prog_name="cortado")
def main() -> None:
    """Cortado: controllers, beans and WebSocket sessions that always end well."""


main.add_command(run.run)
main.add_command(beans.beans)
main.add_command(routes.routes)
