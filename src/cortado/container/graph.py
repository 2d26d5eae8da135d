"""The beans of a running container and their recipes, which follow the overrides."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from cortado.container.definitions import BeanDefinition, FactoryKind
from cortado.container.markers import Lazy
from cortado.container.plans import Argument, Plan
from cortado.container.recipes import Foreign, Given, Outsider, Provided, Recipe
from cortado.container.scopes import Scopes, mismatches, reaches
from cortado.container.wiring import Wiring, circles, dependencies_first

__all__ = ["Bean", "Graph"]


class OverridableProvider(Protocol):
    """What is needed of a bean's dependency-injector provider."""

    @property
    def overridden(self) -> tuple[Callable[[], object], ...]:
        """Those that stand in for it, the last of them in force."""
        ...

    def override(self, provider: Any, /) -> object:
        """Let another provider, or an object, stand in."""
        ...

    def withdraw(self, provider: Any, /) -> None:
        """Take one override back."""
        ...

    def __call__(self) -> Any:
        """Return the bean, or a coroutine that returns it."""
        ...


class Bean:
    """One bean: its definition, and the recipe in force while the container runs."""

    __slots__ = ("definition", "provider", "recipe", "recipes")

    def __init__(self, definition: BeanDefinition) -> None:
        self.definition = definition
        self.provider: OverridableProvider | None = None
        self.recipe: Recipe | None = None
        self.recipes: dict[tuple[object, ...], Recipe] = {}
        """Every recipe of this container's life that may come into force again, by what it is made of."""

    @property
    def stand_ins(self) -> tuple[Callable[[], object], ...]:
        """The providers that override this bean, the last of them in force."""
        return () if self.provider is None else self.provider.overridden


class Graph:
    """Binds each bean to the recipes of those it needs, again after every change of an override.

    A bean that no change reaches keeps its recipe, and with it its instance; a bean whose overrides are taken back
    finds its old one again.
    """

    def __init__(
        self,
        wiring: Wiring,
        plans: Mapping[str, Plan],
        beans: Mapping[str, Bean],
        scopes: Scopes,
        lazy: Callable[[Argument], Lazy[object]],
    ) -> None:
        self._wiring = wiring
        self._scopes = scopes
        self._plans = plans
        self._beans = beans
        self._lazy = lazy
        self._replacements: dict[object, Plan] = {}
        self._adopted = {
            bean: cast(Outsider, bean.definition.factory)
            for bean in beans.values()
            if bean.definition.kind is FactoryKind.PROVIDER
        }
        for outsider in self._adopted.values():
            outsider.begin()

    def bind(self) -> None:
        """Put the recipes in force that the overrides of this moment ask for.

        Raises:
            ContainerError: A replacement needs what isn't there, or lives shorter, or a circle; nothing has changed
                then.
        """
        plans = {name: self._plan_in_force(bean) for name, bean in self._beans.items()}
        reached = reaches(plans, self._scopes)
        wrong = circles(plans) or mismatches(plans, reached, self._scopes)
        if wrong:
            raise wrong[0]
        recipes: dict[str, Recipe] = {}
        for name in dependencies_first(plans):
            recipes[name] = self._recipe(self._beans[name], plans[name], recipes, reached[name].scope)
        live: set[object] = {one for bean in self._beans.values() for one in bean.stand_ins}
        self._replacements = {one: plan for one, plan in self._replacements.items() if one in live}
        live |= {one for outsider in self._adopted.values() for one in outsider.overriding}
        for bean, outsider in self._adopted.items():
            if not bean.stand_ins:  # before the bean asks its provider again, which would ask the bean
                outsider.restore()
        for name, bean in self._beans.items():
            bean.recipe = recipes[name]
            bean.recipes = {key: one for key, one in bean.recipes.items() if one.tokens <= live}
        for bean, outsider in self._adopted.items():
            if bean.stand_ins:
                outsider.divert(bean.provider)

    def unbind(self) -> None:
        """Give up all recipes."""
        for outsider in self._adopted.values():
            outsider.restore()
        for bean in self._beans.values():
            bean.recipe = None
            bean.recipes = {}

    def _plan_in_force(self, bean: Bean) -> Plan:
        if not bean.stand_ins:
            return self._plans[bean.definition.name]
        stand_in = bean.stand_ins[-1]
        definition = getattr(stand_in, "replacement", None)
        if not isinstance(definition, BeanDefinition):
            return Plan(bean.definition)
        if stand_in not in self._replacements:
            self._replacements[stand_in] = self._planned(definition)
        return self._replacements[stand_in]

    def _planned(self, definition: BeanDefinition) -> Plan:
        plan, problems = self._wiring.plan(definition)
        if problems:
            raise problems[0]
        return plan

    def _recipe(self, bean: Bean, plan: Plan, made: Mapping[str, Recipe], home: str) -> Recipe:
        inputs = [made[name] for name in plan.needs]
        stand_in = bean.stand_ins[-1] if bean.stand_ins else None
        outsider = self._adopted.get(bean) if stand_in is None else None
        key = (stand_in if outsider is None else outsider.in_force, *inputs)
        known = bean.recipes.get(key)
        if known is None:
            if outsider is not None:
                known = Provided(bean.definition, inputs, outsider)
            elif stand_in is None and plan.definition.kind is FactoryKind.GIVEN:
                known = Given(plan.definition)
            elif stand_in is None or stand_in in self._replacements:
                known = Recipe(plan, inputs, self._lazy, stand_in, home)
            else:
                known = Foreign(bean.definition, stand_in)
            bean.recipes[key] = known
        return known
