"""What an application is made of, read without starting it."""

from collections.abc import Callable, Iterator, Sequence

import click

from cortado.application import Cortado
from cortado.binding.plan import BoundParameter
from cortado.binding.types import spell
from cortado.cli.run import STARTUP_FAILURE
from cortado.cli.target import TargetError, load
from cortado.container import Container
from cortado.container.injection import name_of
from cortado.exceptions import StartupError
from cortado.routing.definitions import RouteDefinition, WebSocketDefinition
from cortado.routing.discovery import Discovery

__all__ = ["bean_table", "route_table", "show"]

PROVIDED = ("bean", "context")
"""The sources that no client sends anything for."""


def show(target: str, describe: Callable[[Cortado], str]) -> int:
    """Print the description of an application, then what keeps it from starting; return the exit status.

    Raises:
        TargetError: The target can't be found, or is no Cortado application.
    """
    try:
        app = _cortado(target)
        click.echo(describe(app))
        problems = [*app.container.validate(), *app.discover().problems]
        if problems:
            raise StartupError(problems)
    except StartupError as error:
        click.echo(f"Error: {error}", err=True)
        return STARTUP_FAILURE
    return 0


def bean_table(container: Container) -> str:
    """Return name, type, scope, stereotype and place of each bean, in the order of registration."""
    rows = [
        (
            bean.name,
            name_of(bean.type),
            str(bean.scope),
            "" if bean.stereotype is None else bean.stereotype.value,
            bean.location,
        )
        for bean in container.definitions()
    ]
    return _table(("NAME", "TYPE", "SCOPE", "STEREOTYPE", "WHERE"), rows)


def route_table(found: Discovery) -> str:
    """Return method, path, controller method and parameters of each mapping, HTTP first, in definition order."""
    rows = [
        *(_row(", ".join(one.methods), one) for one in found.http),
        *(_row("WS", one) for one in found.websocket),
    ]
    return _table(("METHOD", "PATH", "HANDLER", "PARAMETERS"), rows)


def _cortado(target: str) -> Cortado:
    app: object = load(target)
    if not isinstance(app, Cortado):
        kind = getattr(app, "__qualname__", type(app).__qualname__)
        raise TargetError(
            f"{target} is an ASGI application ({kind}), but not Cortado's; name the attribute that holds a Cortado"
        )
    return app


def _row(method: str, one: RouteDefinition | WebSocketDefinition) -> tuple[str, ...]:
    return method, one.path, one.where, ", ".join(map(_parameter, one.plan.parameters))


def _parameter(one: BoundParameter) -> str:
    return f"{one.name}: {spell(one.annotation)} ({', '.join(_source(one))})"


def _source(one: BoundParameter) -> Iterator[str]:
    yield one.source if one.key in ("", one.name) else f"{one.source} {one.key}"
    if not one.required and one.source not in PROVIDED:
        yield "optional"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
