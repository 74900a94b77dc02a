"""What the pickle in a checkpoint would make, found out by following it without making it.

A pickle is a program. :func:`torch.load` with ``weights_only=True`` runs only a part of what it may call, but with any
arguments and as often as it says: ``encode(x, 'hex')`` of its own result doubles with each call. Here it is refused
unless each call is one that torch writes, and what they make together is bounded by the size of the file.
"""

import contextlib
import math
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import torch
from torch.serialization import StorageType

# What the pickle of a checkpoint may name; what we save needs no other name, see checkpoints/plain.py. How they may be
# called is in _Follower._reduce; types of storages are only named.
SAFE_NAMES = frozenset(
    {
        "collections.OrderedDict",
        "collections.Counter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_parameter",
        "torch.nn.parameter.Parameter",
        "torch.storage.UntypedStorage",
        "torch.Size",
        "torch.device",
        "torch.serialization._get_layout",
        "_codecs.encode",  # bytes, in the pickle protocol of torch
        "__builtin__.set",
        "builtins.set",
    }
)
_BYTES_A_PART = 150  # of a container, number or name with its place in another
_BYTES_A_CALL = 1000  # of a tensor without its numbers
_ATOMS = (str, int, float, bytes, type(None))  # bool is an int
# Instructions that put a value, by what pickletools calls them; torch knows no others.
_VALUES = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_OTHERS = {"GLOBAL", "MARK", "EMPTY_LIST", "EMPTY_DICT", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS"}
_OTHERS |= {"SETITEM", "SETITEMS", "BUILD", "BINPERSID", "REDUCE"}  # each has a method of _Follower
_WITH_ARGUMENT = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"}


class UnsafeError(Exception):
    """A pickle holds more than tensors and plain data; the text says what."""


class TooLargeError(Exception):
    """A pickle would make more than is allowed; the text says of what."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A class or function."""

    name: str


class _Part:
    """A list, or dict of so many keys, or the result of a call; of a list its items."""

    __slots__ = ("items", "kind", "size")

    def __init__(self, kind: str, size: int = 0):
        self.kind = kind
        self.size = size
        self.items: list = []


def follow(pickled: BinaryIO, allowed: int, records: Mapping[str, int] | None, stored: int) -> None:
    """Follow a pickle that :func:`torch.load` would run.

    Args:
        pickled: At its beginning; afterwards at its end.
        allowed: Bytes that may be made of it.
        records: Key of a storage → bytes that the file has for it; None where the file does not say (torch's old
            format).
        stored: Bytes of all storages together, at most.

    Raises:
        UnsafeError: It names or calls anything but what torch writes.
        TooLargeError: It would make more than ``allowed``, or a storage that the file does not have.
        ValueError, IndexError, TypeError, …: It is damaged.
    """
    _Follower(allowed, records, stored).run(pickled)


class _Follower:
    def __init__(self, allowed: int, records: Mapping[str, int] | None, stored: int):
        self.left = allowed
        self.records = records
        self.stored = stored
        self.storages: dict[str, int] = {}
        self.stack: list = []
        self.marks: list[list] = []
        self.memo: dict[int, object] = {}

    def run(self, pickled: BinaryIO) -> None:
        for opcode, argument, _ in pickletools.genops(pickled):
            name = opcode.name
            self._spend(_BYTES_A_PART + (len(argument) if isinstance(argument, str | bytes) else 0))
            if name in _WITH_ARGUMENT:
                self.stack.append(argument)
            elif name in _VALUES:
                self.stack.append(_VALUES[name])
            elif name in ("BINGET", "LONG_BINGET"):
                self.stack.append(self.memo[argument])
            elif name in ("BINPUT", "LONG_BINPUT"):
                self.memo[argument] = self.stack[-1]
            elif name not in ("PROTO", "STOP"):
                self._require(name in _OTHERS, f"the instruction {name}")
                getattr(self, f"_{name.lower()}")(argument)

    def _spend(self, number: int) -> None:
        self.left -= number
        if self.left < 0:
            raise TooLargeError("what its pickle makes")

    @staticmethod
    def _require(condition: bool, otherwise: str) -> None:
        if not condition:
            raise UnsafeError(otherwise)

    def _copy(self, kind: str, size: int) -> _Part:
        self._spend(size * _BYTES_A_PART)
        return _Part(kind, size)

    def _global(self, argument: str) -> None:
        name = argument.replace(" ", ".", 1)
        self._require(name in SAFE_NAMES or _dtype(name) is not None, f"'{name[:100]}'")
        self.stack.append(_Name(name))

    def _mark(self, argument: None) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _pop_mark(self) -> list:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _empty_list(self, argument: None) -> None:
        self.stack.append(_Part("list"))

    def _empty_dict(self, argument: None) -> None:
        self.stack.append(_Part("dict"))

    def _tuple(self, argument: None) -> None:
        items = self._pop_mark()
        self.stack.append(tuple(items))

    def _tuple1(self, argument: None) -> None:
        self.stack[-1:] = [(self.stack[-1],)]

    def _tuple2(self, argument: None) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def _tuple3(self, argument: None) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def _append(self, argument: None) -> None:
        self._extend("list", [self.stack.pop()])

    def _appends(self, argument: None) -> None:
        self._extend("list", self._pop_mark())

    def _setitem(self, argument: None) -> None:
        key, _ = self.stack[-2:]
        del self.stack[-2:]
        self._extend("dict", [key])

    def _setitems(self, argument: None) -> None:
        self._extend("dict", self._pop_mark()[::2])

    def _extend(self, kind: str, items: list) -> None:
        target = self.stack[-1]
        self._require(isinstance(target, _Part) and target.kind == kind, f"something put into what is no {kind}")
        self._require(kind == "list" or all(map(_is_key, items)), "a dict whose keys are no text or numbers")
        target.size += len(items)
        if kind == "list":
            target.items += items

    def _build(self, argument: None) -> None:
        """Attributes of an ``OrderedDict``: the versions of the modules in a state dict."""
        state, target = self.stack.pop(), self.stack[-1]
        both_dicts = all(isinstance(part, _Part) and part.kind == "dict" for part in (state, target))
        self._require(both_dicts, "the state of an object")
        self._spend(state.size * _BYTES_A_PART)

    def _binpersid(self, argument: None) -> None:
        """A storage, which stands in the file once and is taken from there."""
        kind, name, key, _, count, *_ = self.stack.pop()
        dtype = _dtype(name.name) if isinstance(name, _Name) else None
        right = kind == "storage" and dtype is not None and isinstance(key, str) and type(count) is int
        self._require(right, "a storage that is none")
        size = count * torch.empty(0, dtype=dtype, device="meta").element_size()
        if key not in self.storages:
            self.storages[key] = size
            self.stored -= size
        within = self.stored >= 0 if self.records is None else 0 <= size <= self.records.get(key, -1)
        if size < 0 or size > self.storages[key] or not within:
            raise TooLargeError("a tensor")
        self.stack.append(_Part("storage", count))

    def _tensor(self, storage: _Part, offset: object, shape: object, *others: object) -> _Part:
        """A view of a storage, not of the same number again and again: a copy of it would fill the memory."""
        whole = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
        self._require(whole, "a tensor without a shape")
        if math.prod(shape) > storage.size:
            raise TooLargeError("a tensor")
        return _Part("tensor")

    def _reduce(self, argument: None) -> None:
        arguments, function = self.stack.pop(), self.stack[-1]
        self._require(isinstance(function, _Name) and isinstance(arguments, tuple), "the call of no function")
        self._spend(_BYTES_A_CALL)
        match function.name.rpartition(".")[2], arguments:
            case (("OrderedDict" | "Counter"), ()):
                result = _Part("dict")
            case "OrderedDict", (_Part(kind="list", items=pairs),):  # of Python 2
                result = self._copy("dict", len(pairs))
                self._require(all(map(_is_pair, pairs)), "a dict of no pairs")
            case "Counter", (_Part(kind="dict", size=size),):
                result = self._copy("dict", size)
            case "set", (_Part(kind="list", items=items),):
                result = self._copy("set", len(items))
                self._require(all(map(_is_key, items)), "a set of more than text and numbers")
            case "Size", (tuple(lengths),) if all(type(length) is int for length in lengths):
                result = self._copy("size", len(lengths))
            case "encode", (str(text), "latin1"):
                self._spend(len(text))
                result = b""
            case (("device" | "_get_layout"), (str(), *_)):
                result = _Part("setting")
            case (("_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3"), (_Part(kind="storage"), *_)):
                result = self._tensor(*arguments)
            case (("_rebuild_parameter" | "Parameter"), (_Part(kind="tensor"), *_)):
                result = _Part("tensor")
            case _:
                raise UnsafeError(f"a call of '{function.name}' that torch does not write")
        self.stack[-1] = result


def _is_key(value: object) -> bool:
    """Whether many values can be keys of one dict in a time that the file bounds.

    Tuples of tuples of … take too long, and whoever chooses tuples or numbers of any length can give all one hash.
    """
    return isinstance(value, _ATOMS) and not (isinstance(value, int) and value.bit_length() > 63)


def _is_pair(value: object) -> bool:
    return isinstance(value, _Part) and value.kind == "list" and len(value.items) == 2 and _is_key(value.items[0])


def _dtype(name: str) -> torch.dtype | None:
    """Type of the numbers of ``torch.FloatStorage`` or ``torch.float32``; None if the name is neither."""
    module, _, attribute = name.rpartition(".")
    if name == "torch.storage.UntypedStorage":
        return torch.uint8
    if module not in ("torch", "torch.cuda"):
        return None
    if attribute.endswith("Storage"):
        with contextlib.suppress(KeyError):
            return StorageType(attribute).dtype
    found = getattr(torch, attribute, None)
    return found if isinstance(found, torch.dtype) else None
