"""The one place where an exception becomes a response."""

import logging
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from cortado.binding.call import Call
from cortado.container import Container
from cortado.problems import INTERNAL_ERROR, HTTPError, Problem, phrase
from cortado.routing.definitions import ExceptionHandlerDefinition
from cortado.web.invocation import invoke
from cortado.web.rendering import Rendered, Renderer, Streamed, render_problem

__all__ = ["EXCEPTIONS_EXTENSION", "LOGGER", "ErrorResponder", "report_unexpected"]

LOGGER = logging.getLogger("cortado.web")

EXCEPTIONS_EXTENSION = "cortado.exceptions"
"""The extension of an ASGI scope under which a test's client collects unexpected exceptions, in a list."""


class ErrorResponder:
    """Turns exceptions into responses, for requests and handshakes alike.

    The controller's own exception handlers come before those of controller advices; among each, the most specific
    class wins, and then the advice's order. What no handler takes is a problem: of an `HTTPError` its own, of anything
    else one that tells nothing, unless `debug`.

    Args:
        container: Provides the controller advices.
        advice: Their exception handlers, in the order of the beans.
        debug: Whether clients are told what an unexpected exception says.
    """

    def __init__(
        self,
        container: Container,
        advice: Iterable[ExceptionHandlerDefinition] = (),
        *,
        debug: bool = False,
    ) -> None:
        self.advice = tuple(advice)
        """The exception handlers of controller advices."""
        self._advisers = {handler.bean.name: container.resolver(handler.bean.name) for handler in self.advice}
        self._debug = debug

    async def respond(
        self,
        exc: Exception,
        call: Call,
        *,
        scope: Mapping[str, Any],
        doing: str,
        controller: object | None = None,
        handlers: Sequence[ExceptionHandlerDefinition] = (),
        logger: logging.Logger = LOGGER,
    ) -> Rendered:
        """Return the response for an exception; never raises for the exception or its handlers.

        An exception that nobody expected, an exception handler's own included, is logged once, with its traceback.

        Args:
            exc: What was raised.
            call: What exception handlers may bind from; one that asks for more than its context isn't chosen.
            scope: The ASGI scope, for `report_unexpected`.
            doing: What failed, for the log, such as `GET /items/{id}`.
            controller: The controller, where there is one already.
            handlers: The controller's own exception handlers.
            logger: Where an unexpected exception is logged.
        """
        try:
            handled = await self._handled(exc, call, controller, handlers)
        except Exception as raised:  # noqa: BLE001 - whatever an exception handler raises takes the exception's place
            handled, exc = None, raised
        try:
            handled = handled or _expected(exc)
        except Exception as raised:  # noqa: BLE001 - an error that can't be told, such as a detail that is no JSON
            exc = raised
        if handled is not None:
            return handled
        self.report(exc, scope=scope, doing=doing, logger=logger)
        return render_problem(self._told(exc))

    def report(
        self, exc: Exception, *, scope: Mapping[str, Any], doing: str, logger: logging.Logger = LOGGER
    ) -> None:
        """Log an unexpected exception, where no response can tell of it any more."""
        logger.error("unexpected exception in %s", doing, exc_info=exc)
        report_unexpected(scope, exc)

    async def _handled(
        self,
        exc: Exception,
        call: Call,
        controller: object | None,
        handlers: Sequence[ExceptionHandlerDefinition],
    ) -> Rendered | None:
        local = None if controller is None else _choose(exc, handlers, call)
        if local is not None:
            return await _run(local, controller, exc, call)
        general = _choose(exc, self.advice, call)
        if general is None:
            return None
        return await _run(general, await self._advisers[general.bean.name].get(), exc, call)

    def _told(self, exc: Exception) -> Problem:
        if not self._debug:
            return INTERNAL_ERROR
        return Problem(INTERNAL_ERROR.status, detail=f"{type(exc).__name__}: {exc}")


def report_unexpected(scope: Mapping[str, Any], exc: BaseException) -> None:
    """Hand an unexpected exception to the test's client, if the scope says that one is listening."""
    collected = (scope.get("extensions") or {}).get(EXCEPTIONS_EXTENSION)
    if collected is not None:
        collected.append(exc)


def _expected(exc: Exception) -> Rendered | None:
    if isinstance(exc, HTTPError):
        return render_problem(exc.problem())
    if isinstance(exc, HTTPException):  # what Starlette's own parts raise, such as StaticFiles
        return render_problem(Problem(exc.status_code, detail=_detail(exc), headers=exc.headers or {}))
    return None


def _detail(exc: HTTPException) -> str | None:
    return None if exc.detail == phrase(exc.status_code) else exc.detail


def _choose(
    exc: Exception, handlers: Sequence[ExceptionHandlerDefinition], call: Call
) -> ExceptionHandlerDefinition | None:
    ranked = type(exc).__mro__
    fitting = [
        (min(ranked.index(kind) for kind in handler.mapping.types if kind in ranked), at)
        for at, handler in enumerate(handlers)
        if any(kind in ranked for kind in handler.mapping.types)
        and handler.plan.contexts - handler.exceptions <= call.context.keys()
    ]
    return handlers[min(fitting)[1]] if fitting else None


async def _run(handler: ExceptionHandlerDefinition, bean: object, exc: Exception, call: Call) -> Rendered:
    context = {**call.context, **dict.fromkeys(handler.exceptions, exc)}
    arguments = await handler.plan.bind(Call(call.head, context))
    result = await invoke(getattr(bean, handler.attribute), arguments)
    status = handler.mapping.status_code or (exc.status if isinstance(exc, HTTPError) else 500)
    rendered = Renderer(handler.serialize, status).render(result)
    if isinstance(rendered, Response):
        rendered = await _collected(rendered)
    if isinstance(rendered, Streamed):
        raise TypeError(f"{handler.bean.name}.{handler.attribute} returns a stream; an error is told at once")
    return rendered if rendered.title else rendered._replace(title=phrase(rendered.status))


async def _collected(response: Response) -> Rendered:
    """Run a Starlette response against nobody, and keep what it sends."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    # From version 2.4 on, a response doesn't watch for a disconnect of its own.
    scope = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.4"}}
    await response(scope, receive, send)
    start, *rest = sent
    body = b"".join(bytes(message.get("body", b"")) for message in rest)
    headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    return Rendered(start["status"], headers, body)
