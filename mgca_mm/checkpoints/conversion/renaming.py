"""What the conversion of a checkpoint gives, and how names are changed."""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from mgca_mm.bounds import TIMES
from mgca_mm.errors import UserError

from .preprocessing import Preprocessing

Renames = Sequence[tuple[str, str]]


class ConvertedCheckpoint(NamedTuple):
    """Result of a conversion.

    Attributes:
        state_dict: Our names → tensors.
        mapped: (their name, our name) pairs.
        unused: Their names that have no influence on the model's output, or no place in ours.
        missing: Our names that they do not have; what stands for them in ``state_dict``, if anything, changes nothing.
        preprocessing: Of the images in pretraining, by the project's code.
    """

    state_dict: dict[str, Tensor]
    mapped: list[tuple[str, str]]
    unused: list[str]
    missing: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None


def rename(name: str, renames: Renames) -> str | None:
    """New name by the first pattern that matches the whole name, or None."""
    for pattern, replacement in renames:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return None


def rename_all(
    state_dict: dict[str, Tensor], new_name: Callable[[str], str | None], unused: str, kind: str, example: str
) -> tuple[dict[str, Tensor], list[tuple[str, str]], list[str]]:
    """Rename a state dict, every name of which must be known.

    Args:
        state_dict: Their names → tensors.
        new_name: Gives our name, or None for an unknown one.
        unused: Pattern of names that are left out.
        kind: What the checkpoint should be, for the error.
        example: A name it should have.

    Returns:
        Our names → tensors, (their name, our name) pairs, names left out.

    Raises:
        UserError: If there is a name that is neither known nor unused, two have the same name here, or a weight is no
            finite number.
    """
    converted, mapped, left_out, unknown = {}, [], [], []
    for name, tensor in own_memory(state_dict).items():
        if re.fullmatch(unused, name):
            left_out.append(name)
        elif (ours := new_name(name)) is None:
            unknown.append(name)
        elif ours in converted:
            raise UserError(f"Not a checkpoint of {kind}: two of its names stand for '{ours[:100]}'.")
        else:
            require_finite(name, tensor)
            converted[ours] = tensor
            mapped.append((name, ours))
    if unknown or not mapped:
        what = f"{len(unknown)} unknown names, the first is '{unknown[0][:100]}'" if unknown else "no name that we know"
        raise UserError(f"Not a checkpoint of {kind}: {what}.\nExpected names such as '{example}'.")
    return converted, mapped, left_out


def own_memory(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor in memory of its own and of its size, so that it is written once and without what lies beside it.

    Args:
        state_dict: Names → tensors, which may be parts of others.

    Raises:
        UserError: If a name is no line of text, or the tensors overlap so much that copies would fill the memory.
    """
    for name in state_dict:
        if not (name.isascii() and name.isprintable()):
            raise UserError(f"Not a checkpoint of a model: '{ascii(name[:100])[1:-1]}' is no name of a weight.")
    stored = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in state_dict.values()}
    if sum(tensor.nbytes for tensor in state_dict.values()) > TIMES * sum(stored.values()):
        raise UserError("The checkpoint is refused: its tensors are far larger than what is stored of them.")
    return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in state_dict.items()}


def require_finite(name: str, tensor: Tensor) -> None:
    """Check that a weight is made of finite real numbers.

    Raises:
        UserError: If it is no real number, but for counters, or not finite.
    """
    if not tensor.is_floating_point() and not name.endswith("num_batches_tracked"):
        raise UserError(f"The checkpoint is damaged: '{name[:100]}' is of {tensor.dtype}, and weights are fractions.")
    if not tensor.isfinite().all():
        raise UserError(f"The checkpoint is damaged: '{name[:100]}' holds numbers that are not finite.")


def require_shapes(found: Mapping[str, Tensor], expected: Mapping[str, Sequence[int]], kind: str) -> None:
    """Check that nothing is missing, and has its shape.

    Raises:
        UserError: If something is not there, as in a truncated file, or is misshapen.
    """
    require_names(found, expected, kind)
    for name, shape in expected.items():
        if tuple(found[name].shape) != tuple(shape):
            raise UserError(
                f"The checkpoint of {kind} is misshapen: {name} is {tuple(found[name].shape)}, not {tuple(shape)}.\n"
                "Download it again."
            )


def write_torch(content: Any, target: Path) -> None:
    """As torch.save, by way of the memory: of a full disk, it would tell in ways of its own.

    Raises:
        OSError: If it cannot be written.
    """
    memory = io.BytesIO()
    torch.save(content, memory)
    target.write_bytes(memory.getbuffer())


def write_safetensors(tensors: Mapping[str, Tensor], target: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors, each in memory of its own.

    Raises:
        OSError: If they cannot be written.
        UserError: If they cannot be had in this format.
    """
    if "__metadata__" in tensors:
        raise UserError("A tensor called '__metadata__' cannot be written as safetensors.")
    try:
        content = safetensors.torch.save(dict(tensors), metadata)
    except (KeyError, safetensors.SafetensorError) as error:  # of a kind of number that the format does not have
        raise UserError(f"The weights cannot be written as safetensors: {str(error)[:100]}") from error
    target.write_bytes(content)


def require_names(found: Iterable[str], expected: Iterable[str], kind: str) -> None:
    """Check that nothing is missing.

    Raises:
        UserError: If something is, as in a truncated file.
    """
    missing = sorted(set(expected) - set(found))
    if missing:
        raise UserError(
            f"The checkpoint of {kind} is incomplete; {len(missing)} tensors are missing: {', '.join(missing[:3])}…\n"
            "Download it again."
        )


def part_of(state_dict: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Entries whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
