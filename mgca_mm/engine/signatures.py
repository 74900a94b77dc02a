"""What a constructor can be given: the names of its arguments, and type hints that a value suits or not."""

import collections.abc
import contextlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union

_NUMBERS_AND_WORDS = {bool: bool, int: int, float: int | float, str: str}


def parameters_of(constructor: Callable) -> tuple[list[str], bool]:
    """Names that a class or function can be given arguments by, and whether any other one is taken, too."""
    found: list[str] = []
    for initializer in _initializers(constructor):
        try:
            parameters = inspect.signature(initializer).parameters.values()
        except (TypeError, ValueError):  # written in C
            return found, True
        found += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return found, False
    return found, not _hands_on(constructor)


def hints_of(constructor: Callable) -> dict[str, Any]:
    """Name of an argument → its type hint; those that cannot be resolved are not there."""
    hints: dict[str, Any] = {}
    for source in _initializers(constructor):
        with contextlib.suppress(Exception):
            # torch imports names of collections.abc, and uses them in its hints, for type checkers only.
            hints = typing.get_type_hints(source, localns=vars(collections.abc)) | hints
    return hints


def _initializers(constructor: Callable) -> list[Callable]:
    """A function itself, or the ``__init__`` of a class and of those that it hands ``**kwargs`` to."""
    if not inspect.isclass(constructor):
        return [constructor]
    chain = [vars(c)["__init__"] for c in constructor.__mro__[:-1] if "__init__" in vars(c)]
    return chain if _hands_on(constructor) else chain[:1]


def _hands_on(constructor: Callable) -> bool:
    """Whether ``**kwargs`` are arguments of the class that is extended: so with ours and MMEngine's schedulers."""
    names = ("mgca_mm.", "mmengine.optim.scheduler")
    no_init = inspect.isclass(constructor) and constructor.__init__ is object.__init__
    return no_init or getattr(constructor, "__module__", "").startswith(names)


def suits(value: Any, hint: Any) -> bool:
    """Whether a value is what a hint asks for; hints that a config cannot violate, or not understood, suit."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    kind = origin or hint
    if kind in (Union, types.UnionType):
        return any(suits(value, argument) for argument in arguments)
    if kind is Literal:
        return value in arguments
    if kind is Any:
        return True
    if kind in (None, type(None)):
        return value is None
    if kind in _NUMBERS_AND_WORDS:
        return isinstance(value, _NUMBERS_AND_WORDS[kind]) and isinstance(value, bool) == (kind is bool)
    if kind in (dict, Mapping):
        return isinstance(value, Mapping)
    if kind in (list, tuple, Sequence):  # a config writes either of them
        if not isinstance(value, list | tuple):
            return False
        elements = [argument for argument in arguments if argument is not Ellipsis]
        if kind is tuple and elements and Ellipsis not in arguments:
            return len(value) == len(elements) and all(map(suits, value, elements))
        return not elements or all(suits(item, elements[0]) for item in value)
    is_config = isinstance(value, Mapping) and "type" in value  # of the object that is asked for
    return is_config or not isinstance(kind, type) or isinstance(value, kind)


def describe(hint: Any) -> str:
    """A type hint as a user reads it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    return "None" if hint is type(None) else getattr(hint, "__name__", str(hint))
