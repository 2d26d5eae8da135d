from hypothesis import given
from hypothesis import strategies as st
from starlette.convertors import CONVERTOR_TYPES

from cortado.routing.paths import PathTemplate
from cortado.routing.table import RoutingTable

PATHS = (
    "/",
    "/a",
    "/a/{x}",
    "/a/{x:int}",
    "/{x}/b",
    "/{x}/{y}",
    "/a/v{x}",
    "/a/{x:path}",
    "/{x:float}/b/{y}",
)


def table_of(*paths: str) -> RoutingTable[str]:
    table: RoutingTable[str] = RoutingTable()
    for path in paths:
        convertors = {name: CONVERTOR_TYPES[kind] for name, kind in PathTemplate(path).variables.items()}
        table.add(path, path, ["GET"], convertors)
    return table


@given(
    order=st.permutations(PATHS),
    path=st.lists(st.sampled_from(["a", "b", "v1", "5", "1.5", ""]), min_size=1, max_size=4).map("/".join),
)
def test_order_of_add_does_not_matter(order: list[str], path: str) -> None:
    """What is found depends on the paths, not on the order in which they were added."""
    assert table_of(*order).find(f"/{path}", "GET", set()) == table_of(*PATHS).find(f"/{path}", "GET", set())


def test_first_of_equals_stays() -> None:
    """Of two targets on one path and method the first one is found."""
    table: RoutingTable[str] = RoutingTable()
    table.add("/a", "first", ["GET"])
    table.add("/a", "second", ["GET", "POST"])
    assert table.find("/a", "GET", set()) == ("first", {})
    assert table.find("/a", "POST", set()) == ("second", {})


def test_allowed_methods_are_collected() -> None:
    """Where only the method is wrong, the methods of all matching paths are told."""
    table = table_of("/a", "/{x}")
    table.add("/a", "post", ["POST"])
    allowed: set[str] = set()
    assert table.find("/a", "PUT", allowed) is None
    assert allowed == {"GET", "POST"}


def test_any_method() -> None:
    """A target without methods is found for each."""
    table: RoutingTable[str] = RoutingTable()
    table.add("/a", "any")
    assert table.find("/a", "", set()) == ("any", {})
