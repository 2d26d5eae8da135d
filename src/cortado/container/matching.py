"""Which beans satisfy a requested type: nominal first, then open generics, then structure."""

import typing
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import partial
from inspect import getattr_static
from typing import Any, Generic, Protocol, TypeVar

from typing_extensions import get_protocol_members, is_protocol

from cortado.container.definitions import BeanDefinition
from cortado.container.forms import expanded, is_union, plain, substituted

__all__ = ["TypeIndex", "is_of", "supertypes", "variables_of"]

Arguments = tuple[Any, ...]

COLLECTIONS = (list, tuple, dict, set, frozenset, Sequence, Mapping)
"""Types whose arguments are never open: a bean that is a bare `list` isn't everybody's `list[T]`."""


class TypeIndex:
    """Definitions by each type that they satisfy by name; built once, asked often."""

    def __init__(self, definitions: Iterable[BeanDefinition]) -> None:
        self._definitions = tuple(definitions)
        self._by_type: dict[Any, list[tuple[BeanDefinition, Arguments]]] = {}
        self._found: dict[Any, tuple[BeanDefinition, ...]] = {}
        self._supertypes = {one: supertypes(expanded(one.type)) for one in self._definitions}
        for one, known in self._supertypes.items():
            for supertype, arguments in known.items():
                self._by_type.setdefault(supertype, []).append((one, arguments))

    def candidates(self, requested: Any) -> tuple[BeanDefinition, ...]:
        """Return the definitions that satisfy a type, in the order of registration.

        Definitions that name the type come first; only where there are none count generic ones with open parameters,
        and only then those that have a protocol's members, or are registered with an abstract class.
        """
        try:
            return self._found[requested]
        except KeyError:
            found = self._found[requested] = self._search(expanded(requested))
            return found
        except TypeError:  # an unhashable annotation, such as Annotated with a list
            return self._search(expanded(requested))

    def candidates_besides(
        self, requested: Any, besides: Container[BeanDefinition]
    ) -> tuple[BeanDefinition, ...]:
        """Return the definitions that would satisfy a type if some others weren't there."""
        return self._search(expanded(requested), besides)

    def _search(self, requested: Any, besides: Container[BeanDefinition] = ()) -> tuple[BeanDefinition, ...]:
        origin = typing.get_origin(requested) or requested
        wanted = typing.get_args(requested)
        known = [(one, given) for one, given in self._by_type.get(origin, ()) if one not in besides]
        exact = tuple(one for one, given in known if not wanted or given == wanted)
        if exact:
            return exact
        loose = origin not in COLLECTIONS
        fitting = tuple(one for one, given in known if _fits(given, wanted, unsaid=loose))
        return fitting or tuple(one for one in self._structural(origin, wanted) if one not in besides)

    def _structural(self, origin: Any, wanted: Arguments) -> tuple[BeanDefinition, ...]:
        if not isinstance(origin, type):
            return ()
        if is_protocol(origin):
            members = get_protocol_members(origin)
            return tuple(one for one in self._definitions if members and _has(one.type, members))
        if type(origin).__subclasscheck__ is type.__subclasscheck__:
            return ()
        return tuple(one for one, known in self._supertypes.items() if _is_virtual(known, origin, wanted))


def is_of(instance: object, wanted: type) -> bool:
    """Whether an object is of a type; of a protocol, whether its class has what that asks for."""
    if not is_protocol(wanted):
        return isinstance(instance, wanted)
    members = get_protocol_members(wanted)
    return wanted in type(instance).__mro__ or (bool(members) and _has(type(instance), members))


def supertypes(given: Any) -> dict[Any, Arguments]:
    """Return each class that a type is a subtype of, with its type arguments as far as they are known."""
    origin = typing.get_origin(given) or given
    found: dict[Any, Arguments] = {origin: typing.get_args(given)}
    if not isinstance(origin, type) or is_union(given):
        return found
    bound = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(given), strict=False))
    for base in vars(origin).get("__orig_bases__", origin.__bases__):
        if (typing.get_origin(base) or base) in (Generic, Protocol, object):
            continue
        for supertype, arguments in supertypes(expanded(substituted(base, bound))).items():
            if not found.get(supertype):
                found[supertype] = arguments
    return found


def variables_of(base: type, cls: type) -> dict[Any, Any]:
    """Return what the type variables of a base class stand for in a class, as far as it says so."""
    return dict(zip(getattr(base, "__parameters__", ()), supertypes(cls).get(base, ()), strict=False))


def _fits(given: Arguments, wanted: Arguments, *, unsaid: bool) -> bool:
    """Whether type arguments serve for others; `unsaid` tells whether those serve that aren't given at all."""
    if not given:
        return unsaid or not wanted
    bound: dict[Any, Any] = {}
    return len(given) == len(wanted) and all(map(partial(_serves, bound=bound), given, wanted))


def _serves(given: Any, wanted: Any, bound: dict[Any, Any]) -> bool:
    if given == wanted or Any in (given, wanted):
        return True
    if isinstance(given, TypeVar):
        return _admits(given, wanted) and bound.setdefault(given, wanted) == wanted
    origin, inner = typing.get_origin(given), typing.get_args(given)
    others = typing.get_args(wanted)
    if origin is None or origin is not typing.get_origin(wanted) or len(inner) != len(others):
        return False
    return all(map(partial(_serves, bound=bound), inner, others))


def _admits(variable: TypeVar, wanted: Any) -> bool:
    """Whether a type variable may stand for a type, as far as both are classes."""
    allowed: tuple[Any, ...] = variable.__constraints__ or (variable.__bound__,)
    classes = [one for one in allowed if isinstance(one, type) and not is_protocol(one)]
    cls = typing.get_origin(wanted) or wanted
    if len(classes) < len(allowed) or not isinstance(cls, type):
        return True
    return any(issubclass(cls, one) for one in classes)


def _has(given: Any, members: Iterable[str]) -> bool:
    given = plain(given)
    cls = typing.get_origin(given) or given
    if not isinstance(cls, type) or cls.__module__.partition(".")[0] == "cortado":
        return False  # nobody means the container by a protocol with a `start` and a `stop`
    annotated = {name for base in cls.__mro__ for name in vars(base).get("__annotations__", ())}
    missing = object()
    return all(name in annotated or getattr_static(cls, name, missing) is not missing for name in members)


def _is_virtual(known: Mapping[Any, Arguments], abstract: type, wanted: Arguments) -> bool:
    return any(
        isinstance(cls, type) and issubclass(cls, abstract) and _fits(given, wanted, unsaid=False)
        for cls, given in known.items()
    )
