"""The dependency-injector side: one provider for each bean, and one for each replacement."""

from collections.abc import Callable, Iterator
from typing import Any

from dependency_injector.providers import Provider

from cortado.container.definitions import BeanDefinition

__all__ = ["BeanProvider", "Replacement"]


class BeanProvider(Provider[Any]):
    """Provides a bean to whatever uses dependency-injector directly, and is where the bean is overridden.

    Called, it returns the bean, or a coroutine that returns it where it has to be awaited.
    """

    def __init__(self, name: str, provide: Callable[[], object], changed: Callable[[], None]) -> None:
        super().__init__()
        self.name = name
        self._get = provide
        self._changed = changed
        self.disable_async_mode()

    def __deepcopy__(self, memo: dict[int, Any] | None) -> "BeanProvider":
        return self  # a bean belongs to one container; a copy would be another singleton of the same name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            raise TypeError(f"bean {self.name!r} takes no arguments when it is asked for")
        return self._get()

    @property
    def related(self) -> Iterator[Provider[Any]]:
        """The providers that override this one."""
        yield from self.overridden

    def override(self, provider: Any) -> Any:
        """Put a provider, or an object, in this bean's place; beans that hold it are built anew."""
        context: object = super().override(provider)
        try:
            self._changed()
        except BaseException:
            super().reset_last_overriding()
            raise
        return context

    def reset_last_overriding(self) -> None:
        """Take the last override back."""
        super().reset_last_overriding()
        self._changed()

    def withdraw(self, provider: Provider[Any]) -> None:
        """Take one override back, wherever it stands among the others."""
        rest = [one for one in self.overridden if one is not provider]
        super().reset_override()
        for one in rest:
            super().override(one)
        self._changed()

    def reset_override(self) -> None:
        """Take every override back."""
        super().reset_override()
        self._changed()


class Replacement(Provider[Any]):
    """What stands in for a bean while it is overridden through the container."""

    def __init__(self, replacement: BeanDefinition) -> None:
        super().__init__()
        self.replacement = replacement
        self.disable_async_mode()

    def __deepcopy__(self, memo: dict[int, Any] | None) -> "Replacement":
        return self

    @property
    def related(self) -> Iterator[Provider[Any]]:
        """The providers that override this one."""
        yield from self.overridden
