"""Convert checkpoints of other projects, ours for other libraries, or publish weights of one's own."""

import argparse
from functools import partial
from pathlib import Path

from mgca_mm.apis.run_folder import training_of
from mgca_mm.checkpoints.conversion.efficientnet_lite import convert_efficientnet_lite0
from mgca_mm.checkpoints.conversion.extract import FORMATS, extract_backbone
from mgca_mm.checkpoints.conversion.gloria import convert_gloria
from mgca_mm.checkpoints.conversion.huggingface import Training
from mgca_mm.checkpoints.conversion.image_encoders import SOURCES, convert_image_encoder
from mgca_mm.checkpoints.conversion.released_mgca import convert_released_mgca
from mgca_mm.checkpoints.conversion.renaming import write_torch
from mgca_mm.checkpoints.publish import publish
from mgca_mm.checkpoints.weights import prefix_of_backbone, read_state_dict, read_weights
from mgca_mm.cli.arguments import add_trust_checkpoint
from mgca_mm.engine import install
from mgca_mm.errors import UserError, exit_on_user_error
from mgca_mm.files import replacing_output

# Command → converter, and what it makes.
CONVERTERS = {
    "from-released-mgca": (convert_released_mgca, "released MGCA → configs/mgca/released_*.py, all parts"),
    "from-gloria": (convert_gloria, "GLoRIA's published format → configs/gloria/pretrain_resnet50.py, all parts"),
    **{
        f"from-{project}": (partial(convert_image_encoder, project), f"image encoder of {project} → mmpretrain")
        for project in SOURCES
    },
    "from-efficientnet-lite0": (
        convert_efficientnet_lite0,
        "ImageNet's EfficientNet-Lite0 → mmpretrain's TIMMBackbone",
    ),
}


def convert(args: argparse.Namespace) -> None:
    """Write a converted checkpoint, and print what became of every name."""
    converted = CONVERTERS[args.command][0](read_state_dict(args.source))
    with replacing_output(args.target) as unfinished:
        meta = {"converted_by": args.command, **converted.preprocessing.meta()}
        write_torch({"meta": meta, "state_dict": converted.state_dict}, unfinished)
    for theirs, ours in converted.mapped:
        print(f"  {theirs} → {ours}")
    for name in converted.unused:
        print(f"  left out: {name}")
    for name in converted.missing:
        print(f"  missing: {name} ({'made up, without influence' if name in converted.state_dict else 'absent'})")
    print(
        f"{len(converted.mapped)} tensors mapped, {len(converted.unused)} left out, {len(converted.missing)} missing "
        f"→ {args.target}"
    )


def extract(args: argparse.Namespace) -> None:
    """Write the image encoder of one of our checkpoints for another library."""
    weights, meta = read_weights(args.source)
    training = training_of(args.source) if args.format == "huggingface" else None
    if training is None and prefix_of_backbone(weights) == "backbone.":  # of another project
        training = Training.of_converted(meta)
    difference = extract_backbone(weights, args.target, args.format, training)
    if difference is None:
        reason = "neither a ResNet nor a ViT of mmpretrain"
        print(f"Image encoder, with its own names → {args.target} (not compared: {reason})")
    else:
        print(f"Image encoder for {args.format} → {args.target}; loaded there, features differ by {difference:.1e}")
    if args.format == "huggingface":
        print(f"Fill in the model card, {Path(args.target) / 'README.md'}")
        if training is None:
            print("No config of a pretraining lies beside the checkpoint: the processor has the sizes of the paper's.")


def publish_weights(args: argparse.Namespace) -> None:
    """Weights of a training checkpoint, without optimizer, config text and paths → safetensors and a model card."""
    card = publish(read_state_dict(args.source), args.target)
    print(f"{args.target}\n{card}: fill in what the weights were trained on")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("source", help="checkpoint to convert, or the folder of a run: its best")
    common.add_argument("target", help="file to write, or folder (extract-backbone for huggingface)")
    add_trust_checkpoint(common)
    for name, (_, purpose) in CONVERTERS.items():
        commands.add_parser(name, parents=[common], help=purpose, description=purpose).set_defaults(run=convert)
    purpose = "the image encoder of our checkpoint as a plain file, loaded there and compared"
    command = commands.add_parser("extract-backbone", parents=[common], help=purpose, description=purpose)
    command.add_argument("--format", choices=FORMATS, default="mmengine", help="default: mmengine")
    command.set_defaults(run=extract)
    purpose = "weights only, as safetensors with a model card"
    commands.add_parser("publish", parents=[common], help=purpose, description=purpose).set_defaults(
        run=publish_weights
    )
    args = parser.parse_args()
    install()
    with exit_on_user_error():
        if Path(args.target).resolve() == Path(args.source).resolve():
            raise UserError("The target is the source; give another file.")
        if Path(args.target).is_dir():
            raise UserError(f"'{args.target}' exists already and is a folder; give another name.")
        if not Path(args.target).absolute().parent.is_dir():
            raise UserError(f"The folder of '{args.target}' does not exist; make it first.")
        args.run(args)
