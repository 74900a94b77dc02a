"""Whether the values of a config suit the constructors that take them: type hints and a table of ranges."""

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union

# Smallest value of an argument, and whether that value itself is allowed. For our own classes and for what MMEngine's
# runner takes; where another library has an argument of such a name, it means what it likes.
RANGES: dict[str, tuple[float, bool]] = {
    **dict.fromkeys(("temperature", "epsilon", "lr", "std"), (0, False)),
    **dict.fromkeys(("loss_weight", "weight_decay", "num_workers", "gamma", "focal_weight", "patience"), (0, True)),
    **dict.fromkeys(("num_epochs", "num_bootstrap", "scale", "degrees", "seed", "begin"), (0, True)),
    **dict.fromkeys(("batch_size", "max_epochs", "max_iters", "val_interval", "interval", "max_keep_ckpts"), (1, True)),
    **dict.fromkeys(("embed_dims", "hidden_channels", "out_channels", "in_channels", "num_iterations"), (1, True)),
    **dict.fromkeys(("input_size", "resize_to", "crop_size", "size", "length_bucket", "chunk_size"), (1, True)),
    **dict.fromkeys(("num_hidden_layers", "num_heads", "T_max", "end", "topk"), (1, True)),
    "num_prototypes": (2, True),
    "max_length": (3, True),  # a word between [CLS] and [SEP]
}


def parameters_of(constructor: Callable) -> tuple[dict[str, inspect.Parameter], bool]:
    """Parameters that a class or function can be given by name.

    Where a class of ours, or a parameter scheduler of MMEngine, hands ``**kwargs`` to the class it extends, the
    parameters of that class are among them.

    Returns:
        Name → parameter, and whether any other name is taken too.
    """
    found: dict[str, inspect.Parameter] = {}
    initialisers = [constructor]
    if inspect.isclass(constructor):
        initialisers = [c.__init__ for c in constructor.__mro__ if "__init__" in vars(c)]
        if not constructor.__module__.startswith(("mgca_mm.", "mmengine.optim.scheduler")):
            initialisers = initialisers[:1]
    for initialiser in initialisers:
        try:
            parameters = inspect.signature(initialiser).parameters.values()
        except (TypeError, ValueError):  # written in C
            return found, True
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return found, False
    return found, True


def hints_of(constructor: Callable) -> dict[str, Any]:
    """Name of an argument → its type hint; empty where the hints cannot be resolved."""
    try:
        return typing.get_type_hints(constructor.__init__ if inspect.isclass(constructor) else constructor)
    except Exception:  # names that exist for type checkers only
        return {}


def suits(value: Any, hint: Any) -> bool:
    """Whether a value is what a hint asks for; hints that a config cannot violate, or not understood, suit."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(suits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if hint in (None, type(None)):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    kind = origin or hint
    if kind in (dict, Mapping):
        return isinstance(value, Mapping)
    if kind in (list, tuple, Sequence):  # a config writes either of them
        items = isinstance(value, list | tuple)
        element = next((argument for argument in arguments if argument is not Ellipsis), None)
        uniform = kind is not tuple or len(set(arguments) - {Ellipsis}) == 1
        return items and (element is None or not uniform or all(suits(item, element) for item in value))
    return True


def describe(hint: Any) -> str:
    """A type hint as a user reads it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    return "None" if hint is type(None) else getattr(hint, "__name__", str(hint))


def violated_range(name: str, value: Any) -> str | None:
    """What a number must be, if it is not; None if it is or if the argument has no range."""
    values = value if isinstance(value, list | tuple) else [value]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if name not in RANGES or not numbers:
        return None
    minimum, included = RANGES[name]
    if all(math.isfinite(n) and (n > minimum or (included and n == minimum)) for n in numbers):
        return None
    return f"must be a number {'of at least' if included else 'above'} {minimum:g}"
