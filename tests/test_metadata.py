"""Records on classes and functions."""

from dataclasses import dataclass

from cortado.metadata import attach, own_record, records_of


@dataclass(frozen=True)
class Mapping:
    path: str


@dataclass(frozen=True)
class Scope:
    name: str


def mapping(path):
    def decorate(target):
        attach(target, Mapping(path))
        return target

    return decorate


def test_records_in_order_of_effect():
    """Records are read in the order in which the decorators ran: from the bottom line up."""

    @mapping("/upper")
    @mapping("/lower")
    def handler(): ...

    assert records_of(handler, Mapping) == (Mapping("/lower"), Mapping("/upper"))


def test_kinds_stay_apart():
    """Records of one kind are read without those of another."""

    class Controller: ...

    attach(Controller, Mapping("/a"))
    attach(Controller, Scope("session"))

    assert records_of(Controller, Mapping) == (Mapping("/a"),)
    assert own_record(Controller, Scope) == Scope("session")


def test_last_record_wins():
    """The one record of a kind is the last that was attached."""

    @mapping("/second")
    @mapping("/first")
    class Controller: ...

    assert own_record(Controller, Mapping) == Mapping("/second")


def test_nothing_attached():
    """What carries no record has none, whatever it is."""
    for target in (object(), object, len, 1, None, lambda: None):
        assert records_of(target, Mapping) == ()
        assert own_record(target, Mapping) is None


def test_subclass_inherits_nothing():
    """A record belongs to the class it was written on, and a subclass's records don't reach back."""

    @mapping("/base")
    class Base: ...

    class Child(Base): ...

    assert own_record(Child, Mapping) is None
    attach(Child, Mapping("/child"))
    assert records_of(Child, Mapping) == (Mapping("/child"),)
    assert records_of(Base, Mapping) == (Mapping("/base"),)


def test_reading_triggers_nothing():
    """Reading records calls neither `__getattr__` nor a descriptor."""

    class Loud:
        def __getattr__(self, name):
            raise AssertionError(name)

        @property
        def __cortado__(self):
            raise AssertionError

    assert records_of(Loud(), Mapping) == ()
