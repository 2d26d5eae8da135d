"""`cortado beans`: list or draw the beans of an application."""

from typing import Literal

import click

__all__ = ["beans"]


@click.command()
@click.argument("target", metavar="MODULE[:APP]")
@click.option(
    "--graph",
    type=click.Choice(["mermaid", "dot", "json"]),
    help="Draw who holds whom, in this format, in place of the list.",
)
@click.pass_context
def beans(context: click.Context, *, target: str, graph: Literal["mermaid", "dot", "json"] | None) -> None:
    """List the beans of an application, without starting it.

    MODULE is imported from the current directory; APP is the attribute that holds the application, "app" when left
    out. What keeps the application from starting is named after the list, with status 3; a target that can't be found
    has status 2.
    """
    from cortado.cli.inspection import bean_table, show

    if graph is None:
        context.exit(show(target, lambda app: bean_table(app.container)))
    context.exit(show(target, lambda app: app.container.graph(graph)))
