"""The own `dataclass` does what the standard library's does, class by class."""

import copy
import dataclasses
import functools
import inspect
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import pytest
from pydantic import TypeAdapter

from dockerdiag.dataclass import dataclass, replace

T = TypeVar("T")


def library(**options: Any) -> Callable[[type], type]:
    return dataclasses.dataclass(frozen=True, slots=True, **options)


def own(**options: Any) -> Callable[[type], type]:
    return dataclass(frozen=True, slots=True, **options)


BOTH = pytest.mark.parametrize("define", [library, own])


def shapes(define: Callable[..., Any]) -> dict[str, Any]:
    @define()
    class Plain:
        """Has two fields."""

        number: int
        text: str = "default"
        shared: ClassVar[int] = 7

        @property
        def doubled(self) -> int:
            return 2 * self.number

    @define()
    class Single:
        only: int

    @define()
    class Empty:
        pass

    @define()
    class Made:
        first: int
        listed: list[int] = dataclasses.field(default_factory=list)
        hidden: str = dataclasses.field(default="h", repr=False, compare=False)
        kept: str = dataclasses.field(default="fixed", init=False)
        counted: int = dataclasses.field(default=0, hash=False)

    @define(kw_only=True)
    class Named:
        needed: int
        other: int = 2

    @define()
    class Mixed:
        first: int
        later: int = dataclasses.field(kw_only=True)
        last: int = 3

    @define(eq=False)
    class Unequal:
        number: int

    @define()
    class Computed:
        number: int
        square: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "square", self.number**2)

    @define()
    class Child(Plain):
        more: int = 9

    @define()
    class Own:
        number: int

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    @define()
    class Typed(Generic[T]):
        value: T

    return {
        one.__name__: one
        for one in (Plain, Single, Empty, Made, Named, Mixed, Unequal, Computed, Child, Own, Typed)
    }


CALLS: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "Plain": [
        ((1,), {}),
        ((1, "x"), {}),
        ((), {"text": "y", "number": 3}),
        ((), {}),
        ((1, 2, 3), {}),
        ((1,), {"no": 1}),
    ],
    "Single": [((1,), {}), ((2,), {}), (((1, 2),), {})],
    "Empty": [((), {}), ((1,), {})],
    "Made": [
        ((1,), {}),
        ((1, [2]), {}),
        ((1, [2], "other"), {}),
        ((1,), {"counted": 5}),
        ((1,), {"kept": "x"}),
    ],
    "Named": [((), {"needed": 1}), ((1,), {}), ((), {"needed": 1, "other": 5})],
    "Mixed": [((1,), {"later": 2}), ((1, 4), {"later": 2}), ((1, 2, 3), {}), ((1,), {})],
    "Unequal": [((1,), {}), ((1,), {})],
    "Computed": [((3,), {}), ((3, 9), {})],
    "Child": [((1,), {}), ((1, "x", 2), {}), ((1,), {"more": 4})],
    "Own": [((1,), {}), ((2,), {})],
    "Typed": [((1,), {}), (("x",), {})],
}


def attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - that they are the same is what is asked
        return type(error), str(error).replace("shapes.<locals>.", "")


def told(value: Any) -> Any:
    """What can be compared of an object of one of two classes of the same name."""
    if not dataclasses.is_dataclass(value):
        return value
    return type(value).__name__, {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}


@pytest.mark.parametrize("name", CALLS)
def test_objects_are_made_shown_and_compared_alike(name: str) -> None:
    theirs, ours = shapes(library)[name], shapes(own)[name]
    their_objects, our_objects = (
        [attempt(lambda kind=kind, call=call: kind(*call[0], **call[1])) for call in CALLS[name]]
        for kind in (theirs, ours)
    )
    assert [told(one) for one in our_objects] == [told(one) for one in their_objects]
    assert [repr(one) for one in our_objects if isinstance(one, ours)] == [
        repr(one) for one in their_objects if isinstance(one, theirs)
    ]
    for objects, kind in ((their_objects, theirs), (our_objects, ours)):
        objects[:] = [one for one in objects if isinstance(one, kind)]
    equal = [[a == b for b in our_objects] for a in our_objects]
    assert equal == [[a == b for b in their_objects] for a in their_objects]
    if name != "Unequal":  # those are hashed by where they lie
        hashes = [
            [attempt(lambda a=a: hash(a)) == attempt(lambda b=b: hash(b)) for b in objects]
            for objects in (our_objects, their_objects)
            for a in objects
        ]
        assert hashes[: len(our_objects)] == hashes[len(our_objects) :]
    assert all(a != b for a in our_objects for b in their_objects) or name == "Own"


@pytest.mark.parametrize("name", CALLS)
def test_nothing_of_an_object_can_be_changed(name: str) -> None:
    args, named = CALLS[name][0]
    one = shapes(own)[name](*args, **named)
    for field in (*(field.name for field in dataclasses.fields(one)), "another"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{field}'"):
            setattr(one, field, 1)
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{field}'"):
            delattr(one, field)


@pytest.mark.parametrize("name", CALLS)
def test_the_librarys_functions_know_them(name: str) -> None:
    theirs, ours = shapes(library)[name], shapes(own)[name]
    args, named = CALLS[name][0]
    one, other = ours(*args, **named), theirs(*args, **named)
    assert [(f.name, f.init, f.kw_only) for f in dataclasses.fields(ours)] == [
        (f.name, f.init, f.kw_only) for f in dataclasses.fields(theirs)
    ]
    assert dataclasses.asdict(one) == dataclasses.asdict(other)
    assert ours.__match_args__ == theirs.__match_args__
    assert told(copy.copy(one)) == told(copy.deepcopy(one)) == told(one)
    first = next((field.name for field in dataclasses.fields(ours) if field.init), None)
    if first is not None:
        wanted = told(dataclasses.replace(other, **{first: 5}))
        assert told(replace(one, **{first: 5})) == told(replace(other, **{first: 5})) == wanted
        assert told(dataclasses.replace(one, **{first: 5})) == wanted
    assert told(replace(one)) == told(one)
    for change in ("no_such_field", *(field.name for field in dataclasses.fields(ours) if not field.init)):
        with pytest.raises((TypeError, ValueError)):
            replace(one, **{change: 1})


@dataclass(frozen=True, slots=True)
class Kept:
    """At the top of a module, where pickle finds it."""

    number: int
    names: tuple[str, ...] = ()


def test_they_are_pickled() -> None:
    assert pickle.loads(pickle.dumps(Kept(1, ("a",)))) == Kept(1, ("a",))


def test_pydantic_validates_them() -> None:
    adapter = TypeAdapter(Kept)
    assert adapter.validate_json(adapter.dump_json(Kept(1, ("a",)))) == Kept(1, ("a",))
    assert adapter.json_schema()["required"] == ["number"]


def test_an_object_that_holds_itself_can_be_shown() -> None:
    one = Kept(1, [])  # type: ignore[arg-type]  # a list can hold the object
    one.names.append(one)  # type: ignore[attr-defined]
    assert repr(one) == "Kept(number=1, names=[...])"


@BOTH
def test_once_an_object_was_made_the_parameters_are_those_of_the_fields(define: Callable[..., Any]) -> None:
    kind = shapes(define)["Plain"]
    kind(1)
    assert list(inspect.signature(kind).parameters) == ["number", "text"]


def changing(define: Callable[..., Any]) -> Any:
    @define(slots=True)
    class Changing:
        number: int
        names: list[str] = dataclasses.field(default_factory=list)

    return Changing


@pytest.mark.parametrize("define", [dataclasses.dataclass, dataclass])
def test_those_that_change(define: Callable[..., Any]) -> None:
    kind = changing(define)
    one, other = kind(1), kind(1)
    assert one == other
    one.number = 2
    one.names.append("a")
    assert one != other
    assert repr(one).endswith("Changing(number=2, names=['a'])")
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    with pytest.raises(AttributeError):
        one.another = 1
    assert told(copy.deepcopy(one)) == told(one)


def test_others_are_the_librarys() -> None:
    @dataclass(frozen=True)
    class Loose:
        number: int

        @functools.cached_property
        def doubled(self) -> int:
            return 2 * self.number

    assert Loose(1).doubled == 2
    assert Loose(1) == Loose(1)
