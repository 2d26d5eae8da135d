import pytest

from cortado.routing.paths import InvalidPath, PathTemplate, join


@pytest.mark.parametrize(
    ("base", "path", "joined"),
    [
        ("/ws", "/chat", "/ws/chat"),
        ("/ws", "chat", "/ws/chat"),
        ("ws/", "/chat", "/ws/chat"),
        ("/ws", "", "/ws"),
        ("/ws", "/", "/ws"),
        ("/", "/chat", "/chat"),
        ("", "", "/"),
        ("/", "/", "/"),
        ("/a/b", "c/", "/a/b/c/"),
        ("/rooms/{room}", "{id:int}", "/rooms/{room}/{id:int}"),
    ],
)
def test_join(base: str, path: str, joined: str) -> None:
    """Base and path are joined with exactly one slash between."""
    assert join(base, path) == joined


def test_variables() -> None:
    """A path tells its variables in order, each with its convertor."""
    assert PathTemplate("/{a}/x-{b:int}/{c:path}").variables == {"a": "str", "b": "int", "c": "path"}


def test_shape_forgets_names() -> None:
    """Two paths of one shape differ only in the names of their variables."""
    assert PathTemplate("/a/{x}/{y:int}").shape == PathTemplate("/a/{v}/{w:int}").shape
    assert PathTemplate("/a/{x}").shape != PathTemplate("/a/{x:int}").shape


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/a/{b", "a brace that belongs to no variable"),
        ("/a/{b c}", "a brace that belongs to no variable"),
        ("/a/{}", "a brace that belongs to no variable"),
        ("/{a}/{a:int}", "names {a} twice"),
        ("/{a:hex}", "unknown convertor 'hex'; known are float, int, path, str, uuid"),
        ("/a//b", "empty segment"),
        ("/a?b={c}", "never arrive in a path"),
        ("/a b", "never arrive in a path"),
    ],
)
def test_invalid_paths(path: str, words: str) -> None:
    """A path that can't be mapped says why."""
    with pytest.raises(InvalidPath) as failed:
        PathTemplate(path).check()
    assert words in str(failed.value)


def test_valid_path() -> None:
    """A path with variables, mixed segments and a slash at its end can be mapped."""
    PathTemplate("/a/{b}/v{c:int}-{d:uuid}/{e:path}/f/").check()
