"""Which beans satisfy a requested type: nominal first, then open generics, then structure."""

import typing
from collections.abc import Iterable, Mapping, Sequence
from inspect import getattr_static
from typing import Any, Generic, Protocol, TypeVar

from typing_extensions import get_protocol_members, is_protocol

from cortado.container.definitions import BeanDefinition

__all__ = ["TypeIndex", "substituted", "supertypes", "variables_of"]

Arguments = tuple[Any, ...]


class TypeIndex:
    """Definitions by each type that they satisfy by name; built once, asked often."""

    def __init__(self, definitions: Iterable[BeanDefinition]) -> None:
        self._definitions = tuple(definitions)
        self._by_type: dict[Any, list[tuple[BeanDefinition, Arguments]]] = {}
        self._found: dict[Any, tuple[BeanDefinition, ...]] = {}
        for one in self._definitions:
            for supertype, arguments in supertypes(one.type).items():
                self._by_type.setdefault(supertype, []).append((one, arguments))

    def candidates(self, requested: Any) -> tuple[BeanDefinition, ...]:
        """Return the definitions that satisfy a type, in the order of registration.

        Definitions that name the type come first; only where there are none count generic ones with open parameters,
        and only then those that have a protocol's members, or are registered with an abstract class.
        """
        try:
            return self._found[requested]
        except KeyError:
            found = self._found[requested] = self._search(requested)
            return found
        except TypeError:  # an unhashable annotation, such as Annotated with a list
            return ()

    def _search(self, requested: Any) -> tuple[BeanDefinition, ...]:
        origin = typing.get_origin(requested) or requested
        wanted = typing.get_args(requested)
        known = self._by_type.get(origin, ())
        exact = tuple(one for one, given in known if not wanted or given == wanted)
        return exact or tuple(one for one, given in known if _fits(given, wanted)) or self._structural(origin)

    def _structural(self, origin: Any) -> tuple[BeanDefinition, ...]:
        if not isinstance(origin, type):
            return ()
        if is_protocol(origin):
            members = get_protocol_members(origin)
            return tuple(one for one in self._definitions if _has(one.type, members))
        if type(origin).__subclasscheck__ is type.__subclasscheck__:
            return ()
        return tuple(one for one in self._definitions if _is_virtual(one.type, origin))


def supertypes(given: Any) -> dict[Any, Arguments]:
    """Return each class that a type is a subtype of, with its type arguments as far as they are known."""
    origin = typing.get_origin(given) or given
    found: dict[Any, Arguments] = {origin: typing.get_args(given)}
    if not isinstance(origin, type):
        return found
    bound = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(given), strict=False))
    for base in vars(origin).get("__orig_bases__", origin.__bases__):
        if (typing.get_origin(base) or base) in (Generic, Protocol, object):
            continue
        for supertype, arguments in supertypes(substituted(base, bound)).items():
            if not found.get(supertype):
                found[supertype] = arguments
    return found


def variables_of(base: type, cls: type) -> dict[Any, Any]:
    """Return what the type variables of a base class stand for in a class, as far as it says so."""
    return dict(zip(getattr(base, "__parameters__", ()), supertypes(cls).get(base, ()), strict=False))


def substituted(annotation: Any, bound: Mapping[Any, Any]) -> Any:
    """Return a type with its type variables replaced by what is known of them."""
    if isinstance(annotation, TypeVar):
        return bound.get(annotation, annotation)
    variables: Sequence[Any] = getattr(annotation, "__parameters__", ())
    if isinstance(annotation, type) or not any(one in bound for one in variables):
        return annotation
    return annotation[tuple(bound.get(one, one) for one in variables)]


def _fits(given: Arguments, wanted: Arguments) -> bool:
    if not given:
        return True
    pairs = zip(given, wanted, strict=False)
    return len(given) == len(wanted) and all(isinstance(one, TypeVar) or one == other for one, other in pairs)


def _has(given: Any, members: Iterable[str]) -> bool:
    cls = typing.get_origin(given) or given
    if not isinstance(cls, type):
        return False
    annotated = {name for base in cls.__mro__ for name in vars(base).get("__annotations__", ())}
    missing = object()
    return all(name in annotated or getattr_static(cls, name, missing) is not missing for name in members)


def _is_virtual(given: Any, abstract: type) -> bool:
    cls = typing.get_origin(given) or given
    return isinstance(cls, type) and issubclass(cls, abstract)
