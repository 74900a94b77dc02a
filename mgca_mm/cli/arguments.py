"""Options that several command lines have."""

import argparse
import os

from mmengine.config import DictAction


def positive_int(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got '{text}'")
    return int(text)


def add_cfg_options(parser: argparse.ArgumentParser, help: str = "change the config") -> None:
    """Add ``--cfg-options KEY=VALUE …``: dotted key → value."""
    parser.add_argument("--cfg-options", nargs="+", action=_CfgOptions, metavar="KEY=VALUE", help=help)


def add_trust_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint``, which takes effect as soon as it is read."""
    text = "unpickle checkpoints that hold more than tensors and plain data; they can run any code as you"
    parser.add_argument("--trust-checkpoint", action=_TrustCheckpoints, nargs=0, default=argparse.SUPPRESS, help=text)


class _CfgOptions(DictAction):
    """MMEngine's, but that a value keeps its spaces, which stand in names of folders, and a slip is an error."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: list[str], option: str
    ) -> None:
        for word in values:
            key, sign, _ = word.partition("=")
            if not (key and sign):
                parser.error(f"--cfg-options: '{word}' is not KEY=VALUE; quote a value with spaces: 'key=my data'")
        try:
            super().__call__(parser, namespace, values, option)
        except AssertionError:
            parser.error(f"--cfg-options {' '.join(values)}: a bracket is not closed")

    @staticmethod
    def _parse_iterable(val: str) -> object:
        is_single = "," not in val and val.strip("'\"")[:1] not in ("[", "(")
        return DictAction._parse_int_float_bool(val.strip("'\"")) if is_single else DictAction._parse_iterable(val)


class _TrustCheckpoints(argparse.Action):
    def __call__(self, *args: object) -> None:
        from mgca_mm.checkpoints.schemes import trust_checkpoints  # imports torch

        trust_checkpoints()


def parse_launched(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Add ``--launcher`` and read the command line of one of many processes, whose number may come as an option."""
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    return args
