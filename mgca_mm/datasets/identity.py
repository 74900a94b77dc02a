"""Names for samples that say nothing to whoever does not have the data."""

import contextlib
import functools
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

SALT = ".salt"


def pseudonym(identifier: str, data_root: str | os.PathLike | None = None) -> str:
    """Salted hash of an image, study or patient id, for logs and error messages.

    Ids of public data sets are known or few, so that a plain hash of one is found by trying. The salt stands in the
    prepared folder, readable by its owner: whoever may read the data can find the sample (:func:`find_identifiers`),
    in this run and in later ones; nobody else can.

    Args:
        identifier: The id.
        data_root: The prepared folder. None, or a folder that cannot be written: the salt is of this process alone.

    Returns:
        ``sample-`` and 16 hexadecimal digits.
    """
    # Names of files, and json, can hold lone surrogates.
    text = str(identifier).encode("utf-8", "surrogatepass")
    digest = hmac.new(_salt(os.fspath(data_root) if data_root else ""), text, hashlib.sha256)
    return f"sample-{digest.hexdigest()[:16]}"


def find_identifiers(pseudonyms: Iterable[str], identifiers: Iterable[str], data_root: str | os.PathLike) -> list[str]:
    """Ids behind pseudonyms, among the ids of a prepared folder."""
    wanted = set(pseudonyms)
    return [identifier for identifier in identifiers if pseudonym(identifier, data_root) in wanted]


@functools.lru_cache(maxsize=16)
def _salt(data_root: str) -> bytes:
    fresh = secrets.token_bytes(32)
    if not data_root:
        return fresh
    path = Path(data_root, SALT)
    try:
        if not path.exists():
            # Complete when it gets its name, which the first of several ranks and workers gives.
            partial = path.with_name(f"{SALT}.{secrets.token_hex(4)}")
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(fresh)
            try:
                with contextlib.suppress(FileExistsError):
                    os.link(partial, path)
            finally:
                partial.unlink()
        return path.read_bytes() or fresh
    except OSError:
        return fresh
