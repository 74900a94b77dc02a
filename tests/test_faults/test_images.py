"""Images as disks, networks and editors leave them: gray levels or an error of ours, in 2 s and bounded memory."""

import zlib

import numpy as np
import pytest

from tests.test_fuzz.test_images import Reader, dicom_files, jpeg_files, png_files

from .conftest import cases

FILES = {"PNG": png_files, "JPEG": jpeg_files, "DICOM": dicom_files}


def spoil(content, rng):
    """Change a few places of a file, its header above all."""
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = int(rng.integers(0, max(1, min(len(content), rng.choice((64, 700, 10**9))))))
        kind = rng.choice(
            ("bit", "byte", "number", "insert", "delete", "repeat", "truncate", "swap"),
            p=(0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05),
        )
        length = int(rng.integers(1, 65))
        if kind == "bit" and content:
            content = content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :]
        elif kind == "byte":
            content = content[:place] + rng.bytes(1) + content[place + 1 :]
        elif kind == "number":
            size = int(rng.choice((2, 4)))
            number = int(rng.choice((0, 1, 2**15, 65_500, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1))) % 256**size
            content = content[:place] + number.to_bytes(size, rng.choice(("big", "little"))) + content[place + size :]
        elif kind == "insert":
            content = content[:place] + rng.bytes(length) + content[place:]
        elif kind == "delete":
            content = content[:place] + content[place + length :]
        elif kind == "repeat":
            content = content[:place] + 2 * content[place : place + length] + content[place + length :]
        elif kind == "truncate":
            content = content[: max(place, 1)]
        else:
            other = place + length
            content = (
                content[:place] + content[other : other + length] + content[place:other] + content[other + length :]
            )
    return content


def with_checksums(content):
    """A PNG with the checksums of what its chunks hold now; a decoder refuses all others at once."""
    position, repaired = 8, content[:8]
    while position + 12 <= len(content):
        size = int.from_bytes(content[position : position + 4], "big")
        body = content[position + 4 : position + 8 + size]
        repaired += content[position : position + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        position += 12 + size
    return repaired


@pytest.mark.parametrize("kind", FILES)
def test_mutated_images(kind, tmp_path):
    """Decoded in a process whose memory is limited and whose seconds are counted; a crash of it fails the test."""
    files, path, reader = FILES[kind](), tmp_path / "case", Reader()
    outcomes = {str: 0, tuple: 0}
    rng = np.random.default_rng(len(kind))
    try:
        for _ in range(cases(100, 6_667)):
            content = spoil(files[rng.integers(len(files))], rng)
            path.write_bytes(with_checksums(content) if kind == "PNG" and rng.random() < 0.8 else content)
            result = reader.read(path)
            outcomes[type(result)] += 1
            if isinstance(result, str):
                assert result.startswith(f"{path}: ") and len(result.splitlines()) <= 2, result
    finally:
        reader.close()
    assert min(outcomes.values()) > 0, "some are beyond repair, some are not"
