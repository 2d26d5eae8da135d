"""`cortado routes`: list what the controllers of an application map."""

import click

__all__ = ["routes"]


@click.command()
@click.argument("target", metavar="MODULE[:APP]")
@click.pass_context
def routes(context: click.Context, *, target: str) -> None:
    """List the mapped paths of an application, without starting it.

    One line for each path: the HTTP methods or WS, the path, the method that serves it, and its parameters with their
    sources. MODULE is imported from the current directory; APP is the attribute that holds the application, "app" when
    left out. What keeps the application from starting is named after the list, with status 3; a target that can't be
    found has status 2.
    """
    from cortado.cli.inspection import route_table, show

    context.exit(show(target, lambda app: route_table(app.discover())))
