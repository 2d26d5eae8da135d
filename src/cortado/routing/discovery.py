"""Beans to definitions: what the controllers map, with every wiring error found at once."""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType, NoneType
from typing import Any, Never, NoReturn

from cortado.binding.compiler import BodyRule, compile_plan
from cortado.binding.converters import NotConvertible
from cortado.binding.errors import SignatureError
from cortado.binding.plan import BindingPlan
from cortado.binding.results import Serialize, compile_serializer
from cortado.binding.signature import ABSENT, Signature, Unreadable, read_signature
from cortado.binding.types import members_of, specialised, spell
from cortado.container import BeanDefinition, Container, Scope, Stereotype
from cortado.container.matching import variables_of
from cortado.exceptions import ConfigurationError
from cortado.routing.definitions import ExceptionHandlerDefinition, RouteDefinition, WebSocketDefinition
from cortado.routing.errors import MappingError
from cortado.routing.mappings import ExceptionHandling, HttpMapping, WebSocketMapping
from cortado.routing.members import (
    Member,
    base_path,
    class_of,
    is_coroutine,
    mapped_members,
    plain_members,
    qualified,
)
from cortado.routing.paths import InvalidPath, PathTemplate, join

__all__ = ["Discovery", "discover"]

CONTROLLERS = frozenset({Stereotype.REST_CONTROLLER, Stereotype.CONTROLLER})
HOOKS = ("on_disconnect", "on_hard_close")
NOTHING = (ABSENT, None, NoneType, NoReturn, Never, Any, object)
"""What a WebSocket handler may be said to return."""
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Discovery:
    """Everything that the beans of a container map."""

    http: tuple[RouteDefinition, ...] = ()
    """HTTP routes in definition order."""
    websocket: tuple[WebSocketDefinition, ...] = ()
    """WebSocket endpoints in definition order."""
    advice: tuple[ExceptionHandlerDefinition, ...] = ()
    """The exception handlers of controller advices, in the order of the beans."""
    problems: tuple[ConfigurationError, ...] = ()
    """Everything that is wrong; what can't be built is not among the definitions."""


def discover(
    container: Container,
    *,
    http_context: Collection[Any] = (),
    websocket_context: Collection[Any] = (),
    responses: Collection[type] = (),
) -> Discovery:
    """Read what the controllers and controller advices of a container map. Nothing is instantiated.

    Args:
        container: The beans.
        http_context: The types that the scope of a request provides itself.
        websocket_context: The types that the scope of a session provides itself; a handler must take one of them.
        responses: Return types that are responses by themselves; of a generic one, the argument is serialised.
    """
    reader = _Reader(container, frozenset(http_context), frozenset(websocket_context), frozenset(responses))
    for bean in container.definitions():
        if (owner := class_of(bean)) is not None:
            reader.read(bean, owner)
    return reader.found()


@dataclass(frozen=True, slots=True)
class _Method:
    """One mapped method of a bean, read once for all of its mappings."""

    bean: BeanDefinition
    owner: type
    member: Member
    signature: Signature

    @classmethod
    def of(cls, bean: BeanDefinition, owner: type, member: Member) -> "_Method":
        signature = read_signature(member.function, owner, bean.names)
        return cls(bean, owner, member, _bound(signature, variables_of(member.definer, owner)))

    @property
    def where(self) -> str:
        """How errors name it."""
        return qualified(self.owner, self.member.attribute)

    @property
    def subject(self) -> tuple[BeanDefinition, str, Callable[..., Any]]:
        """The first three fields of every definition."""
        return self.bean, self.member.attribute, self.member.function


@dataclass(slots=True)
class _Reader:
    """Collects definitions and problems while the beans are walked."""

    container: Container
    http_context: frozenset[Any]
    websocket_context: frozenset[Any]
    responses: frozenset[type]
    http: list[RouteDefinition] = field(default_factory=list)
    websocket: list[WebSocketDefinition] = field(default_factory=list)
    advice: list[ExceptionHandlerDefinition] = field(default_factory=list)
    problems: list[ConfigurationError] = field(default_factory=list)

    def found(self) -> Discovery:
        """Return what was collected, with the conflicts between mappings among the problems."""
        routes = [(method, route) for route in self.http for method in route.methods]
        sockets = [("WebSocket", socket) for socket in self.websocket]
        problems = (*self.problems, *_conflicts(routes), *_conflicts(sockets))
        return Discovery(
            tuple(self.http),
            tuple(self.websocket),
            tuple(sorted(self.advice, key=lambda handler: handler.bean.order)),
            # A method with two paths has its parameters compiled twice, but is wrong only once.
            tuple({str(problem): problem for problem in problems}.values()),
        )

    def read(self, bean: BeanDefinition, owner: type) -> None:
        """Read one bean: controllers map and handle exceptions, advices handle exceptions, others do neither."""
        members, problems = mapped_members(owner)
        self.problems += problems
        methods = [_Method.of(bean, owner, member) for member in members]
        if bean.stereotype in CONTROLLERS:
            self._read_controller(owner, methods)
        elif bean.stereotype is Stereotype.CONTROLLER_ADVICE:
            self._read_advice(methods)
            self._refuse(one for one in methods if one.member.maps)
        else:
            self._refuse(methods)

    def _read_controller(self, owner: type, methods: Sequence[_Method]) -> None:
        base = base_path(owner)
        handlers = self._handlers(methods)
        for method in methods:
            for http in method.member.records(HttpMapping):
                self._route(method, http, PathTemplate(join(base, http.path)), handlers)
            for socket in method.member.records(WebSocketMapping):
                self._socket(method, socket, PathTemplate(join(base, socket.path)), handlers)

    def _read_advice(self, methods: Sequence[_Method]) -> None:
        handlers = self._handlers(methods)
        plans = {handler.attribute: handler.plan for handler in handlers}
        for method in methods:
            if (plan := plans.get(method.member.attribute)) is not None:
                self._noting(self._check_scopes, method, plan, None, "the error of an unknown path")
        self.advice += handlers

    def _route(
        self,
        method: _Method,
        mapping: HttpMapping,
        template: PathTemplate,
        handlers: tuple[ExceptionHandlerDefinition, ...],
    ) -> None:
        body = BodyRule.IMPLIED if WITH_BODY.issuperset(mapping.methods) else BodyRule.MARKED
        checked = self._noting(_check_path, method, template), self._noting(_check_status, method, mapping)
        plan = self._plan(method, self.http_context, template, body)
        scoped = self._noting(self._check_scopes, method, plan, Scope.REQUEST, "an HTTP request")
        serialize = self._serializer(method)
        if scoped and all(checked) and plan is not None and serialize is not None:
            self.http.append(
                RouteDefinition(template.text, *method.subject, mapping, plan, serialize, handlers)
            )

    def _socket(
        self,
        method: _Method,
        mapping: WebSocketMapping,
        template: PathTemplate,
        handlers: tuple[ExceptionHandlerDefinition, ...],
    ) -> None:
        checked = (
            self._noting(_check_path, method, template),
            self._noting(_check_coroutine, method),
            self._noting(_check_returns_nothing, method),
        )
        plan = self._plan(method, self.websocket_context, template, BodyRule.NONE)
        self._noting(self._check_scopes, method, plan, Scope.SESSION, "a connection")
        if plan is None or not self._noting(_check_session, method, plan, self.websocket_context):
            return
        hooks = self._hooks(method.owner)
        if all(checked):
            self.websocket.append(
                WebSocketDefinition(template.text, *method.subject, mapping, plan, hooks, handlers)
            )

    def _handlers(self, methods: Iterable[_Method]) -> tuple[ExceptionHandlerDefinition, ...]:
        found: list[ExceptionHandlerDefinition] = []
        for method in methods:
            for mapping in method.member.records(ExceptionHandling):
                self._noting(_check_unhandled, method, mapping, tuple(found))
                self._noting(_check_status, method, mapping)
                if handler := self._handler(method, mapping):
                    found.append(handler)
        return tuple(found)

    def _handler(self, method: _Method, mapping: ExceptionHandling) -> ExceptionHandlerDefinition | None:
        annotations = [argument.annotation for argument in method.signature.arguments]
        expected = frozenset(annotation for annotation in annotations if _is_exception(annotation))
        if not self._noting(_check_expected, method, mapping, expected):
            return None
        context = self.http_context | self.websocket_context | expected
        plan = self._plan(method, context, PathTemplate("/"), BodyRule.NONE)
        serialize = self._serializer(method)
        if plan is None or serialize is None:
            return None
        return ExceptionHandlerDefinition(*method.subject, mapping, expected, plan, serialize)

    def _plan(
        self, method: _Method, context: frozenset[Any], template: PathTemplate, body: BodyRule
    ) -> BindingPlan | None:
        try:
            return compile_plan(
                method.member.function,
                container=self.container,
                owner=method.owner,
                signature=method.signature,
                path=template.variables,
                context=context,
                body=body,
            )
        except SignatureError as exc:
            self.problems += exc.parameters
            return None

    def _check_scopes(
        self, method: _Method, plan: BindingPlan | None, open_scope: str | None, what: str
    ) -> None:
        """Check that every bean that the call needs lives in a scope that is open around it."""
        for bean in (method.bean, *(() if plan is None else plan.beans)):
            for scope, way in self.container.scopes_of(bean.name).items():
                if scope != open_scope:
                    raise MappingError(
                        method.where,
                        f"needs {' -> '.join(way)}, which lives in a {scope} scope, and around {what} there is none; "
                        "inject Lazy[...] and call get() where there is one, or choose another scope",
                    )

    def _serializer(self, method: _Method) -> Serialize | None:
        returns = method.signature.returns
        try:
            if isinstance(returns, Unreadable):
                raise NotConvertible(returns.reason)
            return compile_serializer(returns, self.responses)
        except NotConvertible as exc:
            text = returns.text if isinstance(returns, Unreadable) else spell(returns)
            reason = f"returns {text}, which can't be turned into JSON: {exc}; return a model, a dict or a Response"
            self.problems.append(MappingError(method.where, reason))
            return None

    def _hooks(self, owner: type) -> frozenset[str]:
        held = plain_members(owner)
        present = [name for name in HOOKS if held.get(name) is not None]
        for name in present:
            self._noting(_check_hook, owner, name, held[name])
        return frozenset(present)

    def _refuse(self, methods: Iterable[_Method]) -> None:
        self.problems += [
            MappingError(
                method.where,
                f"is mapped, but the bean {method.bean.name} is no controller; decorate its class with rest_controller",
            )
            for method in methods
        ]

    def _noting(self, check: Callable[..., None], *subject: Any) -> bool:
        """Run a check, and keep what it finds."""
        try:
            check(*subject)
        except MappingError as exc:
            self.problems.append(exc)
            return False
        return True


def _bound(signature: Signature, variables: Mapping[Any, Any]) -> Signature:
    """Return the signature of a generic base's method with the types that the controller gives it."""
    arguments = (
        replace(one, annotation=specialised(one.annotation, variables)) for one in signature.arguments
    )
    return Signature(tuple(arguments), specialised(signature.returns, variables))


def _check_path(method: _Method, template: PathTemplate) -> None:
    try:
        template.check()
    except InvalidPath as exc:
        raise MappingError(method.where, f"can't be mapped: {exc}") from exc


def _check_status(method: _Method, mapping: HttpMapping | ExceptionHandling) -> None:
    status = mapping.status_code
    if status is not None and not 200 <= status <= 599:
        raise MappingError(method.where, f"has the status_code {status}; a final HTTP status is 200 to 599")


def _check_coroutine(method: _Method) -> None:
    if not is_coroutine(method.member.function):
        raise MappingError(
            method.where, "handles a WebSocket but is no coroutine; write async def, without yield"
        )


def _check_returns_nothing(method: _Method) -> None:
    returns = method.signature.returns
    if isinstance(returns, Unreadable) or returns in NOTHING:
        return
    raise MappingError(
        method.where,
        f"handles a WebSocket and returns {spell(returns)}, which goes nowhere; send it and return None",
    )


def _check_session(method: _Method, plan: BindingPlan, context: frozenset[Any]) -> None:
    if context and not plan.contexts:
        names = " or ".join(sorted(spell(one) for one in context))
        raise MappingError(
            method.where, f"handles a WebSocket but takes no session; add a parameter session: {names}"
        )


def _check_hook(owner: type, name: str, hook: object) -> None:
    if isinstance(hook, FunctionType):
        try:
            inspect.signature(hook).bind(None, None)
        except TypeError as exc:
            reason = f"is called with the session and nothing else; write def {name}(self, session)"
            raise MappingError(qualified(owner, name), reason) from exc


def _check_unhandled(
    method: _Method, mapping: ExceptionHandling, others: Iterable[ExceptionHandlerDefinition]
) -> None:
    for other in others:
        for kind in mapping.types:
            if kind in other.mapping.types:
                raise MappingError(
                    method.where,
                    f"handles {spell(kind)}, which {other.attribute} does already; drop one of them",
                )


def _check_expected(method: _Method, mapping: ExceptionHandling, expected: frozenset[Any]) -> None:
    for annotation in expected:
        for kind in mapping.types:
            if not issubclass(kind, members_of(annotation)):
                raise MappingError(
                    method.where, f"handles {spell(kind)} but takes {spell(annotation)}; annotate it to fit"
                )


def _is_exception(annotation: Any) -> bool:
    return all(isinstance(one, type) and issubclass(one, BaseException) for one in members_of(annotation))


def _conflicts(
    mapped: Iterable[tuple[str, RouteDefinition | WebSocketDefinition]],
) -> Iterator[MappingError]:
    first: dict[tuple[str, str], RouteDefinition | WebSocketDefinition] = {}
    for method, one in mapped:
        other = first.setdefault((method, PathTemplate(one.path).shape), one)
        if other is not one:
            yield MappingError(
                one.where,
                f"maps {method} {one.path}, which {other.where} maps already as {other.path}; change one of the two",
            )
