"""Prepare a raw data set for training: ``mgca-mm prepare mimic_cxr --raw DIR --out data/mimic_cxr``.

Exit codes: 0 done, 1 the check found faults, 2 the user has to fix something, 130 interrupted.
"""

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

from mgca_mm.cli import shell_line
from mgca_mm.errors import exit_on_user_error
from mgca_mm.preparation import PROTOCOLS, Options, check, prepare, statistics
from mgca_mm.prepared import DATA_SETS, STORE, open_store
from mgca_mm.reports.cleaning import WORDS

# A config that trains on a data set, by its name; of several, the one to begin with.
CONFIGS = {
    "mimic_cxr": "mgca/pretrain_vit",
    "chexpert_plus": "mgca/pretrain_vit_chexpert_plus",
    "padchest": "mgca/pretrain_vit_padchest",
    "covid_chestxray": "quickstart/pretrain_resnet18_covid_chestxray",
    "iu_xray": "quickstart/pretrain_resnet18",
    "image_report_csv": "custom/pretrain_resnet18",
    "chexpert": "downstream/classification/chexpert_vit",
    "rsna_pneumonia": "downstream/classification/rsna_vit",
    "covidx": "downstream/classification/covidx_vit",
    "nih_chestxray14": "downstream/classification/nih_vit",
    "vindr_cxr": "downstream/classification/vindr_cxr_vit",
    "shenzhen": "downstream/classification/shenzhen_vit",
    "montgomery": "downstream/classification/montgomery_vit",
    "labels_csv": "downstream/classification/custom_vit",
    "object_cxr": "downstream/detection/object_cxr_vit",
    "coco": "downstream/detection/custom_resnet50",
    "siim_pneumothorax": "downstream/segmentation/siim_vit",
    "masks": "downstream/segmentation/custom_resnet50",
}
_SMALL = 256  # Images that are smaller are too small for all but the quickstart's config.


def next_step(dataset: str, out: Path) -> str:
    """What was made, and the command that comes next."""
    if not (out / STORE).is_file():
        return f"{out} holds tables alone, which no training reads."
    config = CONFIGS[dataset]
    if dataset == "mimic_cxr" and open_store(out / STORE).shape[1] < _SMALL:
        config = "quickstart/pretrain_resnet18"
    options = [f"data_root={out}"]
    if config.startswith("downstream"):
        options.append("image_init=CHECKPOINT")
    return f"{out} is prepared. Next:\n  {shell_line('train', config, '--cfg-options', *options)}"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Prepare a raw data set for training, or check a prepared one.")
    parser.add_argument("dataset", choices=DATA_SETS)
    parser.add_argument("--raw", type=Path, help="folder of the raw data set (not needed with --check)")
    parser.add_argument("--out", type=Path, required=True, help="folder to make, such as data/mimic_cxr")
    parser.add_argument(
        "--workers",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="decoding processes (default: one a core)",
    )
    parser.add_argument("--image-size", type=int, default=256, help="side of the stored images (default: 256)")
    parser.add_argument("--tokenizer", help="folder or hub name of a tokenizer to copy (default: train one)")
    parser.add_argument("--vocab-size", type=int, default=8000, help="tokens of a trained tokenizer (default: 8000)")
    parser.add_argument(
        "--words",
        choices=WORDS,
        default="ascii",
        help="words of reports: ASCII with accents folded, as in the paper, or those of all scripts (default: ascii)",
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="paper",
        help="splits of the paper, or those of the released code, leaks included (default: paper)",
    )
    parser.add_argument("--split-list", type=Path, help="csv file with the columns id, split: its split instead")
    parser.add_argument("--annotations-only", action="store_true", help="read the tables alone, without any image")
    parser.add_argument(
        "--max-rejected",
        type=float,
        default=0.01,
        help="share of the images that may be missing or broken; they are left out and listed (default: 0.01)",
    )
    parser.add_argument(
        "--labels", nargs="+", metavar="COLUMN", help="labels_csv: the columns of labels (default: all other columns)"
    )
    parser.add_argument(
        "--patients",
        metavar="PATTERN",
        help="labels_csv: regular expression, what it finds in a patient's name (an image's, where there is no such "
        "column) is the patient; the table's split is not read then",
    )
    parser.add_argument("--follow-links", action="store_true", help="accept links in --raw that lead out of it")
    parser.add_argument("--check", action="store_true", help="verify the prepared folder --out and exit")
    args = parser.parse_args()
    if args.check:
        faults = check(args.dataset, args.out)
        for fault in faults:
            print(fault)
        print(f"{args.out}: {f'{len(faults)} faults' if faults else 'no faults'}")
        if faults:
            return 1
        with exit_on_user_error():
            for line in statistics.table(statistics.describe(args.out)):
                print(line)
        print(next_step(args.dataset, args.out))
        return 0
    if args.raw is None:
        parser.error("--raw is required")
    try:
        with exit_on_user_error():
            options = Options(**{field.name: getattr(args, field.name) for field in fields(Options)})
            prepare(args.dataset, args.raw, args.out, options)
            print(next_step(args.dataset, args.out))
    except KeyboardInterrupt:
        print("interrupted; run the same command again", file=sys.stderr)
        return 130
    return 0
