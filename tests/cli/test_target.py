"""From `module:attribute` to an application."""

import sys

import pytest

from cortado.cli.target import TargetError, load


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """Make an empty directory the current one; nothing imported from it survives."""
    modules, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


APPLICATIONS = """
async def app(scope, receive, send): ...

class Callable:
    async def __call__(self, scope, receive, send): ...

class Holder:
    inner = Callable()

holder = Holder()
number = 1
def wsgi(environ, start_response): ...
"""


def test_attribute(directory):
    """A module in the current directory is found, and the named attribute returned."""
    (directory / "shop_one.py").write_text(APPLICATIONS)

    app = load("shop_one:app")

    assert app is sys.modules["shop_one"].app


def test_attribute_left_out(directory):
    """Without an attribute, `app` is meant."""
    (directory / "shop_two.py").write_text(APPLICATIONS)

    assert load("shop_two") is sys.modules["shop_two"].app


def test_dotted_attribute(directory):
    """An attribute may be reached through others, and may be any callable object that fits."""
    (directory / "shop_three.py").write_text(APPLICATIONS)

    assert load("shop_three:holder.inner") is sys.modules["shop_three"].Holder.inner


def test_package(directory):
    """A module may lie in a package."""
    (directory / "shops").mkdir()
    (directory / "shops" / "corner.py").write_text(APPLICATIONS)

    assert callable(load("shops.corner:app"))


@pytest.mark.parametrize("target", ["nowhere:app", "nowhere.at_all:app", "json.nowhere"])
def test_unknown_module(directory, target):
    """A module that doesn't exist is named, with the directory that was searched."""
    with pytest.raises(TargetError) as raised:
        load(target)

    assert "nowhere" in raised.value.message
    assert str(directory) in raised.value.message
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("target", ["shop/app.py", "./shop.py:app", ".shop:app", "", ":app"])
def test_no_module_name(directory, target):
    """A path or an empty name is answered with the form that is meant."""
    with pytest.raises(TargetError, match=r"package\.module:app"):
        load(target)


def test_unknown_attribute(directory):
    """An attribute that doesn't exist is answered with the nearest one."""
    (directory / "shop_four.py").write_text(APPLICATIONS)

    with pytest.raises(TargetError, match="did you mean 'holder'"):
        load("shop_four:holdr")


@pytest.mark.parametrize(
    ("attribute", "what"),
    [("number", "type int"), ("Callable", "the class Callable"), ("wsgi", "scope, receive and send")],
)
def test_no_application(directory, attribute, what):
    """What is no ASGI application is refused with what it is."""
    (directory / "shop_five.py").write_text(APPLICATIONS)

    with pytest.raises(TargetError, match=what):
        load(f"shop_five:{attribute}")


@pytest.mark.parametrize(
    ("source", "error"),
    [("import nothing_of_that_name", ImportError), ("raise ValueError('mine')", ValueError)],
)
def test_error_of_the_module(directory, source, error):
    """An exception that the module itself raises is passed on as it is."""
    (directory / "shop_six.py").write_text(source)

    with pytest.raises(error):
        load("shop_six:app")
