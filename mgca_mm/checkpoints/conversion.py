"""What the conversion of a checkpoint gives, and how names are changed."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from torch import Tensor

from mgca_mm.errors import UserError

Renames = Sequence[tuple[str, str]]


class ConvertedCheckpoint(NamedTuple):
    """Result of a conversion.

    Attributes:
        state_dict: Our names → tensors.
        mapped: (their name, our name) pairs.
        unused: Their names that have no influence on the model's output, or no place in ours.
        missing: Our names that they do not have; what stands for them in ``state_dict``, if anything, changes nothing.
    """

    state_dict: dict[str, Tensor]
    mapped: list[tuple[str, str]]
    unused: list[str]
    missing: tuple[str, ...] = ()


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
        UserError: If there is a name that is neither known nor unused.
    """
    converted, mapped, left_out, unknown = {}, [], [], []
    for name, tensor in state_dict.items():
        if re.fullmatch(unused, name):
            left_out.append(name)
        elif (ours := new_name(name)) is None:
            unknown.append(name)
        else:
            converted[ours] = tensor
            mapped.append((name, ours))
    if unknown or not mapped:
        what = f"{len(unknown)} unknown names, the first is '{unknown[0]}'" if unknown else "no name that we know"
        raise UserError(f"Not a checkpoint of {kind}: {what}.\nExpected names such as '{example}'.")
    return converted, mapped, left_out


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
