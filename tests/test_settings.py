"""Settings: defaults, validation, and what a user may give."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from cortado.exceptions import ConfigurationError
from cortado.settings import HttpSettings, Settings, WebSocketSettings

CONTRACT = {
    "accept_timeout": 10.0,
    "disconnect_grace_period": 3.0,
    "close_timeout": 2.0,
    "send_timeout": 10.0,
    "hook_timeout": 10.0,
    "max_message_size": 64 * 1024,
    "outbox_frames": 256,
    "outbox_bytes": 1024 * 1024,
    "on_overflow": "disconnect",
    "idle_timeout": None,
    "hard_close_code": 4001,
    "hard_close_reason": "cortado-hard-disconnect",
    "origins": None,
}
SECONDS = ["accept_timeout", "close_timeout", "send_timeout", "hook_timeout", "idle_timeout"]
COUNTS = ["max_message_size", "outbox_frames", "outbox_bytes"]


def test_defaults():
    """The defaults are the documented ones."""
    settings = Settings()

    held = {one.name: getattr(settings.websocket, one.name) for one in fields(WebSocketSettings)}
    assert held == CONTRACT
    assert (settings.drain_timeout, settings.drain_jitter) == (20.0, 2.0)


def test_nothing_given():
    """Without settings the defaults hold."""
    assert Settings.of(None) == Settings()


def test_given_settings_are_kept():
    """An instance is taken as it is."""
    settings = Settings(drain_timeout=1)

    assert Settings.of(settings) is settings


def test_plain_mapping():
    """A mapping of the same shape is as good as the classes."""
    given = {"drain_timeout": 5, "websocket": {"max_message_size": 100}, "http": {"max_body_size": 10}}

    settings = Settings.of(given)

    assert settings == Settings(
        drain_timeout=5,
        websocket=WebSocketSettings(max_message_size=100),
        http=HttpSettings(max_body_size=10),
    )


def test_frozen():
    """Settings don't change, but a changed copy can be made, and is checked again."""
    settings = WebSocketSettings()

    with pytest.raises(FrozenInstanceError):
        settings.send_timeout = 1
    assert replace(settings, send_timeout=1).send_timeout == 1
    with pytest.raises(ConfigurationError):
        replace(settings, send_timeout=0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"drain_timout": 5}, "did you mean 'drain_timeout'?"),
        ({"websocket": {"max_mesage_size": 5}}, "did you mean 'max_message_size'?"),
        ({"zzz": 1}, "known are: websocket, http"),
        ({1: 1}, "no setting 1"),
        ({"websocket": 5}, "websocket must be a WebSocketSettings or a mapping"),
        ({"websocket": HttpSettings()}, "websocket must be"),
        ([], "settings must be a Settings or a mapping"),
    ],
)
def test_wrong_shape(given, text):
    """An unknown key is answered with the nearest known one, a wrong shape with the right one."""
    with pytest.raises(ConfigurationError) as raised:
        Settings.of(given)

    assert text in str(raised.value)


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "3", True, [1]])
def test_seconds(name, value):
    """A time is a finite number of seconds, more than zero."""
    with pytest.raises(ConfigurationError, match=name):
        WebSocketSettings(**{name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, None])
def test_counts(name, value):
    """A bound is a whole number, 1 or more."""
    with pytest.raises(ConfigurationError, match=name):
        WebSocketSettings(**{name: value})


def test_times_that_may_be_zero():
    """No grace and no jitter are possible."""
    assert WebSocketSettings(disconnect_grace_period=0).disconnect_grace_period == 0
    assert HttpSettings(disconnect_grace_period=0).disconnect_grace_period == 0
    assert Settings(drain_jitter=0).drain_jitter == 0
    with pytest.raises(ConfigurationError, match="zero or more"):
        Settings(drain_jitter=-1)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        (WebSocketSettings, "on_overflow", "explode"),
        (WebSocketSettings, "hard_close_code", 1000),
        (WebSocketSettings, "hard_close_code", 5000),
        (WebSocketSettings, "hard_close_code", "4001"),
        (WebSocketSettings, "hard_close_reason", b"gone"),
        (WebSocketSettings, "origins", "https://example.org"),
        (WebSocketSettings, "origins", [1]),
        (HttpSettings, "max_body_size", 0),
        (HttpSettings, "body_timeout", 0),
        (HttpSettings, "disconnect_grace_period", -1),
        (HttpSettings, "cancel_timeout", 0),
        (Settings, "drain_timeout", 0),
    ],
)
def test_out_of_range(group, name, value):
    """A value that can't work is refused by name."""
    with pytest.raises(ConfigurationError, match=name):
        group(**{name: value})


def test_origins_are_kept_as_a_tuple():
    """Origins may be given as any list."""
    assert WebSocketSettings(origins=["https://example.org"]).origins == ("https://example.org",)
