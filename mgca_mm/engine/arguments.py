"""Whether the values of a config suit the constructors that take them: type hints and a table of ranges."""

import contextlib
import difflib
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Union

from torch.utils.data import DataLoader

# Smallest value of an argument, and whether that value itself is allowed. For our own classes and for what MMEngine's
# runner takes; where another library has an argument of such a name, it means what it likes.
RANGES: dict[str, tuple[float, bool]] = {
    **dict.fromkeys(("temperature", "epsilon", "lr", "std", "eps", "start_factor", "max_norm"), (0, False)),
    **dict.fromkeys(("loss_weight", "weight_decay", "num_workers", "gamma", "focal_weight", "patience"), (0, True)),
    **dict.fromkeys(("num_epochs", "num_bootstrap", "scale", "degrees", "seed", "begin"), (0, True)),
    **dict.fromkeys(("val_begin", "timeout", "betas", "end_factor"), (0, True)),
    **dict.fromkeys(("batch_size", "max_epochs", "max_iters", "val_interval", "interval", "max_in_a_row"), (1, True)),
    **dict.fromkeys(("prefetch_factor", "accumulative_counts", "window_size", "per_class"), (1, True)),
    **dict.fromkeys(("embed_dims", "hidden_channels", "out_channels", "in_channels", "num_iterations"), (1, True)),
    **dict.fromkeys(("input_size", "resize_to", "crop_size", "size", "length_bucket", "chunk_size"), (1, True)),
    **dict.fromkeys(("num_hidden_layers", "num_summed_layers", "num_heads", "T_max", "end", "topk"), (1, True)),
    "num_prototypes": (2, True),
    "max_length": (3, True),  # a word between [CLS] and [SEP]
}
# What an argument must be below.
LIMITS: dict[str, float] = {"betas": 1}
# torch's own hints do not resolve at run time.
_LOADER_HINTS = {
    "batch_size": int | None,
    "num_workers": int,
    "pin_memory": bool,
    "drop_last": bool,
    "persistent_workers": bool,
    "prefetch_factor": int | None,
    "timeout": float,
}


def parameters_of(constructor: Callable) -> tuple[dict[str, inspect.Parameter], bool]:
    """Parameters that a class or function can be given by name.

    Returns:
        Name → parameter, and whether any other name is taken too.
    """
    found: dict[str, inspect.Parameter] = {}
    for initialiser in _initialisers(constructor):
        try:
            parameters = inspect.signature(initialiser).parameters.values()
        except (TypeError, ValueError):  # written in C
            return found, True
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return found, False
    return found, not _hands_on(constructor)


def hints_of(constructor: Callable) -> dict[str, Any]:
    """Name of an argument → its type hint; those that cannot be resolved are not there."""
    if constructor is DataLoader:
        return _LOADER_HINTS
    hints: dict[str, Any] = {}
    for initialiser in _initialisers(constructor):
        with contextlib.suppress(Exception):  # names that exist for type checkers only
            hints = typing.get_type_hints(initialiser) | hints
    return hints


def _initialisers(constructor: Callable) -> list[Callable]:
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
        fixed = kind is tuple and len(arguments) > 0 and Ellipsis not in arguments
        return (
            items
            and (not fixed or len(value) == len(arguments))
            and (element is None or not uniform or all(suits(item, element) for item in value))
        )
    is_config = isinstance(value, Mapping) and "type" in value  # of the object that is asked for
    return is_config or isinstance(value, kind) if isinstance(kind, type) else True


def suits_roughly(value: Any, hint: Any) -> bool:
    """Whether a value is no text where a number is asked for.

    More cannot be asked of other libraries' hints: nothing enforces them, and many are narrower than what is taken.
    """
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)
    is_number = {int, float} & set(kinds) and not {str, Any} & set(kinds)
    return not is_number or not isinstance(value, str)


def suits_engine(value: Any, hint: Any) -> bool:
    """Whether a value is the number or truth value that MMEngine asks for; it takes 2.0 for 2, None for a default."""
    if hint not in (int, float, bool) or value is None:
        return True
    return suits(value, hint) or (isinstance(value, float) and value.is_integer())


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
    if name not in RANGES or not (numbers or isinstance(value, str)):
        return None
    minimum, included = RANGES[name]
    limit = LIMITS.get(name, math.inf)
    if numbers and all(minimum <= n < limit and (included or n != minimum) for n in numbers):  # false of NaN, too
        return None
    below = f" and below {limit:g}" if name in LIMITS else ""
    return f"must be a number {'of at least' if included else 'above'} {minimum:g}{below}"


def or_nearest(name: str, names: Iterable[str]) -> str:
    """End of a sentence about an unknown name: the question whether the nearest one was meant, if any is near."""
    nearest = difflib.get_close_matches(name, list(names), 1, cutoff=0.5)
    return f"; did you mean '{nearest[0]}'?" if nearest else "."
