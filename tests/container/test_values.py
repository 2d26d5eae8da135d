"""Properties: values from the environment and from settings classes, and what is said about missing and wrong ones."""

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cortado import ConfigurationError, StartupError
from cortado.container import (
    Container,
    PropertyError,
    Value,
    bean,
    component,
    conditional_on_property,
    configuration,
    configuration_properties,
    post_construct,
    profile,
)


@configuration_properties("chat")
class ChatSettings(BaseSettings):
    max: int
    greeting: str = "hello"


def holder(annotation, **default):
    """Return a class whose one parameter has this annotation."""

    class Holder:
        def __init__(self, it) -> None:
            self.it = it

    Holder.__init__.__annotations__ = {"it": annotation}
    if default:
        Holder.__init__.__defaults__ = (default["default"],)
    return Holder


async def value_of(annotation, *sources, **default):
    cls = holder(annotation, **default)
    async with Container(cls, *sources) as container:
        return container.get(cls).it


def the_problem(*sources):
    (problem,) = Container(*sources).validate()
    assert isinstance(problem, PropertyError)
    return problem


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        (int, "7", 7),
        (bool, "on", True),
        (str, "7", "7"),
        (list[int], "[1, 2]", [1, 2]),
        (int | str, "seven", "seven"),
        (float | None, "1.5", 1.5),
    ],
)
async def test_value(monkeypatch, type, text, value):
    """A parameter with a `Value` gets the property as its type, lists as JSON, the variable in any case."""
    monkeypatch.setenv("chat_Max_size", text)

    assert await value_of(Annotated[type, Value("chat.max-size")]) == value
    assert await value_of(Annotated[type, Value("chat.max-size")] | None) == value


async def test_default(monkeypatch):
    """Where the property isn't set, the default counts: that of `Value`, then the parameter's, then None."""
    monkeypatch.delenv("CHAT_MAX", raising=False)

    assert await value_of(Annotated[int, Value("chat.max", default=5)], default=6) == 5
    assert await value_of(Annotated[int, Value("chat.max", default=None)]) is None
    assert await value_of(Annotated[int, Value("chat.max")], default=6) == 6
    assert await value_of(Annotated[int | None, Value("chat.max")]) is None
    monkeypatch.setenv("CHAT_MAX", "7")
    assert await value_of(Annotated[int, Value("chat.max", default=5)], default=6) == 7


async def test_everywhere(monkeypatch):
    """A `Value` works in `@bean` methods, dataclasses, keyword-only parameters and replacements."""
    monkeypatch.setenv("CHAT_MAX", "7")

    @dataclass(kw_only=True)
    class Room:
        size: Annotated[int, Value("chat.max")]

    @configuration
    class Numbers:
        @bean
        def number(self, size: Annotated[int, Value("chat.max")]) -> int:
            return size

    def replacement(*, size: Annotated[int, Value("chat.max")]) -> int:
        return size + 1

    async with Container(Room, Numbers) as container:
        assert container.get(Room).size == container.get(int) == 7
        with container.override(int, replacement):
            assert container.get(int) == 8


def test_missing_value(monkeypatch):
    """A missing property is a problem of the start that names the property, its type, the place and who asks."""
    monkeypatch.delenv("CHAT_MAX", raising=False)
    problem = the_problem(holder(Annotated[int, Value("chat.max")]))

    assert (problem.name, problem.type) == ("chat.max", "int")
    assert problem.places == ("environment variable CHAT_MAX",)
    assert str(problem).splitlines()[0] == "property 'chat.max' of type int isn't set"
    assert "required by: parameter 'it' of holder" in str(problem)


@pytest.mark.parametrize("type", [int, list[int], Annotated[int, Field(gt=5)]])
def test_wrong_value(monkeypatch, type):
    """A property of another type is a problem of the start that doesn't show the value."""
    monkeypatch.setenv("CHAT_MAX", "s3cr3t")
    problem = the_problem(holder(Annotated[type, Value("chat.max")]))

    assert str(problem).startswith("property 'chat.max' of type ")
    assert "environment variable CHAT_MAX" in str(problem)
    assert "s3cr3t" not in str(problem)


def test_constraints(monkeypatch):
    """What pydantic's `Field` says about a property holds."""
    monkeypatch.setenv("CHAT_MAX", "3")
    problem = the_problem(holder(Annotated[int, Field(gt=5), Value("chat.max")]))

    assert "isn't valid: Input should be greater than 5" in str(problem)


@pytest.mark.parametrize("name", ["", "chat..max", "chat max", 5])
def test_wrong_name(name):
    """A name that no property can have is an error where it is written."""
    for asks in (Value, configuration_properties, conditional_on_property):
        with pytest.raises(ConfigurationError, match="not "):
            asks(name)


async def test_settings_class(monkeypatch):
    """A settings class is a bean; its fields are read from variables with its prefix, and injected as a whole."""
    monkeypatch.setenv("CHAT_MAX", "7")

    async with Container(ChatSettings, cls := holder(ChatSettings)) as container:
        settings = container.get(ChatSettings)
        assert (settings.max, settings.greeting) == (7, "hello")
        assert container.get(cls).it is settings
        assert container.names() == ("chat_settings", "holder")


async def test_values_of_settings_class(monkeypatch):
    """The fields of a settings class are properties for others, defaults and nested models included."""

    class Limits(BaseModel):
        max_rooms: int = 3
        by_name: dict[str, int] = {"lobby": 9}

    @configuration_properties("shop.chat")
    class Chat(BaseSettings):
        greeting: str = "hello"
        limits: Limits = Limits()

    monkeypatch.setenv("SHOP_CHAT_OTHER", "from the environment")

    assert await value_of(Annotated[str, Value("shop.chat.greeting")], Chat) == "hello"
    assert await value_of(Annotated[int, Value("shop.chat.limits.max-rooms")], Chat) == 3
    assert await value_of(Annotated[int, Value("shop.chat.limits.by-name.lobby")], Chat) == 9
    assert await value_of(Annotated[str, Value("shop.chat.other")], Chat) == "from the environment"
    problem = the_problem(holder(Annotated[int, Value("shop.chat.greeting")]), Chat)
    assert "isn't valid" in str(problem)
    assert "looked for in: chat (" in str(problem)
    missing = the_problem(holder(Annotated[int, Value("shop.chat.nothing")]), Chat)
    assert len(missing.places) == 2


def test_conditions_read_settings_classes(monkeypatch):
    """A condition on a property sees the fields of settings classes, unless a profile excludes the class."""

    @configuration_properties("chat")
    @profile("dev")
    class Chat(BaseSettings):
        history: bool = False
        store: str = "redis"

    on = component(conditional_on_property("chat.history")(type("On", (), {})))
    redis = component(conditional_on_property("chat.store", "redis")(type("Redis", (), {})))

    assert Container(on, redis, Chat, profiles=["dev"]).names() == ("redis", "chat")
    assert Container(on, redis, Chat).names() == ()
    monkeypatch.setenv("CHAT_HISTORY", "yes")
    assert Container(on, redis, Chat, profiles=["dev"]).names() == ("on", "redis", "chat")


async def test_problems_of_a_settings_class(monkeypatch):
    """Each missing or wrong field of a settings class is a problem of the start, none of which shows a value."""

    @configuration_properties("chat")
    class Chat(BaseSettings):
        model_config = SettingsConfigDict(env_file="chat.env")

        max: int
        password: SecretStr = Field(min_length=10)
        port: int = Field(alias="PORT_NUMBER")

    monkeypatch.setenv("CHAT_PASSWORD", "s3cr3t")
    with pytest.raises(StartupError) as raised:
        await Container(Chat).start()

    maximum, password, port = raised.value.problems
    assert str(maximum).startswith("property 'chat.max' of type int isn't set\n  required by: chat (")
    assert maximum.places == ("environment variable CHAT_MAX", "env_file chat.env")
    assert "property 'chat.password' of type SecretStr isn't valid" in str(password)
    assert "environment variable PORT_NUMBER" in str(port)
    assert "s3cr3t" not in str(raised.value)


async def test_other_problems_of_a_settings_class(monkeypatch):
    """Whatever else fails while a settings class is read is a problem of the start, too."""

    class Limits(BaseSettings):
        sizes: list[int] = []

        @field_validator("sizes")
        @classmethod
        def check(cls, sizes):
            return 1 / len(sizes)

    monkeypatch.setenv("SIZES", "no json")
    assert "can't be read: error parsing value" in str(the_problem(Limits))
    monkeypatch.setenv("SIZES", "[]")
    assert isinstance(the_problem(Limits).__cause__, ZeroDivisionError)
    monkeypatch.setenv("SIZES", "[1]")
    async with Container(Limits) as container:
        assert container.get(Limits).sizes == 1.0


async def test_other_sources(monkeypatch, tmp_path):
    """A settings class has the sources that pydantic-settings gives it, such as a file; the environment wins."""
    file = tmp_path / "chat.env"
    file.write_text("CHAT_MAX=7\nCHAT_GREETING=hi\n")
    monkeypatch.setenv("CHAT_MAX", "8")

    @configuration_properties("chat")
    class Chat(ChatSettings):
        model_config = SettingsConfigDict(env_file=file)

    assert await value_of(Annotated[tuple[int, ...] | int, Value("chat.max")], Chat) == 8
    assert await value_of(Annotated[str, Value("chat.greeting")], Chat) == "hi"


async def test_read_once_and_again(monkeypatch):
    """A settings class is read once for each start, so that everybody sees the same values."""
    monkeypatch.delenv("CHAT_MAX", raising=False)
    size = Annotated[int, Value("chat.max")]
    container = Container(ChatSettings, cls := holder(size))

    assert len(container.validate()) == 2
    with pytest.raises(StartupError):
        await container.start()
    monkeypatch.setenv("CHAT_MAX", "7")
    assert container.validate() == []
    monkeypatch.setenv("CHAT_MAX", "8")
    async with container:
        assert container.get(ChatSettings).max == container.get(cls).it == 7
    async with container:
        assert container.get(ChatSettings).max == container.get(cls).it == 8


async def test_hooks_of_a_settings_class(monkeypatch):
    """A settings class has the life of a bean."""
    monkeypatch.setenv("CHAT_MAX", "7")
    seen = []

    class Checked(ChatSettings):
        @post_construct
        def check(self) -> None:
            seen.append(self.greeting)

    configuration_properties("chat")(Checked)
    async with Container(Checked) as container:
        container.get(ChatSettings)
    assert seen == ["hello"]


async def test_override_settings(monkeypatch):
    """Settings are overridden with an instance, or with a class that is read in their place."""
    monkeypatch.setenv("CHAT_MAX", "7")

    class Loud(ChatSettings):
        greeting: str = "HELLO"

    async with Container(ChatSettings) as container:
        with container.override(ChatSettings, ChatSettings(max=1)):
            assert container.get(ChatSettings).max == 1
        with container.override(ChatSettings, Loud):
            assert (container.get(ChatSettings).max, container.get(ChatSettings).greeting) == (7, "HELLO")


def test_no_settings_class():
    """Only a class of pydantic-settings can have configuration properties; the error names the extra."""
    with pytest.raises(ConfigurationError, match=r"pip install 'cortado\[settings\]'"):
        configuration_properties("chat")(type("Plain", (), {}))


def test_without_pydantic_settings():
    """Without pydantic-settings everything else works, and a `Value` names the extra as a problem of the start."""
    program = """
        import os, sys
        from typing import Annotated

        sys.modules["pydantic_settings"] = None
        os.environ["CHAT_MAX"] = "5"
        from cortado.container import Container, Value, conditional_on_property

        class Default:
            def __init__(self, it: Annotated[int, Value("chat.other", default=5)]) -> None: ...

        @conditional_on_property("chat.max")
        class Holder:
            def __init__(self, it: Annotated[int, Value("chat.max")]) -> None: ...

        assert Container(Default).validate() == []
        (problem,) = Container(Default, Holder).validate()
        print(problem)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert "can't be read without pydantic-settings" in done.stdout
    assert "fix: pip install 'cortado[settings]'" in done.stdout
