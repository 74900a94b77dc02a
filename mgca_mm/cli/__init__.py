"""The command line ``mgca-mm``: a file a command, of which only the chosen one is imported."""

import argparse
import importlib
import shlex
import sys
from pathlib import Path

from mgca_mm import __version__

COMMANDS = {
    "demo": "do the whole job on made data and write what came of it into one HTML file",
    "train": "train a model from a config: pretraining or a downstream task",
    "test": "evaluate a checkpoint on the test split of a config",
    "prepare": "prepare a raw data set for training, or check a prepared one",
    "probe": "compare a pretrained image encoder with its random initialization, and test retrieval",
    "real-bench": "bench frozen image encoders on labeled radiographs",
    "choose": "choose the pairs that a pretraining learns from, by their distance from prototypes",
    "compare": "pretrain every method on the phantom and compare them in one table",
    "reproduce": "run the paper's downstream tables",
    "visualize": "draw what was learned",
    "app": "serve a page to explore a checkpoint",
    "convert": "convert checkpoints of other projects, ours for other libraries, or publish weights",
    "swap": "put a pretrained encoder in the place of the backbone of any mmdet, mmseg or mmpretrain config",
    "verify": "say whether checkpoints are intact and can be read without trust",
    "benchmark": "measure speed and memory",
    "phantom": "write procedural radiographs with reports in the layout of a public data set",
}


def main() -> int | None:
    """Run the command that is named first; the rest of the command line is its own.

    Returns:
        Exit code of the command; None for 0.
    """
    parser = argparse.ArgumentParser(
        "mgca-mm",
        usage="%(prog)s [-h] [--version] COMMAND …",
        description="Align radiographs and reports, and use what was learned.",
        epilog="commands:\n" + "\n".join(f"  {name:<11}{purpose}" for name, purpose in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mgca_mm {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="says more with --help")
    command = parser.parse_args(sys.argv[1:2]).command
    sys.argv = [f"mgca-mm {command}", *sys.argv[2:]]  # whose first word is the program of usage texts
    return importlib.import_module(f"{__name__}.{command.replace('-', '_')}").main()


def shell_line(command: str, *arguments: object) -> str:
    """Another of our commands, to be copied into a shell, in the form in which this one was called."""
    tools = {"prepare": "prepare_data"}
    from_clone = sys.argv[0].endswith(".py")
    tool = Path(sys.argv[0]).with_name(f"{tools.get(command, command)}.py")
    program = ["python", tool] if from_clone else ["mgca-mm", command]
    return shlex.join(map(str, (*program, *arguments)))
