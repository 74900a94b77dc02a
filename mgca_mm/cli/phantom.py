"""Write the phantom: procedural chest radiographs with reports in the layout of a public data set.

Example: ``mgca-mm phantom --layout mimic_cxr --out data/raw/phantom --patients 1000 --workers 2``.
"""

import argparse
import sys

from mgca_mm.cli import shell_line
from mgca_mm.errors import UserError
from mgca_mm.phantom.layouts import APPEARANCES, LAYOUTS, PhantomOptions


def main(argv: list[str] | None = None) -> int:
    """Write the phantom; 0 if it is there in the end, 2 for an impossible request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="mimic_cxr", help="directory layout to write")
    parser.add_argument("--out", required=True, help="directory to write, new or empty")
    parser.add_argument(
        "--patients",
        type=int,
        required=True,
        help="number of patients, one to four studies each; rsna_pneumonia, object_cxr, vindr_cxr and shenzhen have "
        "one image a patient",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes (default: 0)")
    parser.add_argument(
        "--size",
        type=int,
        default=256,
        help="shortest long side in pixels; it varies up to a quarter above (default: 256). "
        "Images of rsna_pneumonia, siim_pneumothorax and nih_chestxray14 are 1024 x 1024, whatever it says",
    )
    parser.add_argument(
        "--split",
        type=float,
        nargs=3,
        default=(0.7, 0.1, 0.2),
        metavar=("TRAIN", "VALIDATE", "TEST"),
        help="fractions of the patients (default: 0.7 0.1 0.2). chexpert, chexpert_plus, covidx and nih_chestxray14 "
        "are published in two parts: the first holds TRAIN and VALIDATE; object_cxr is divided 8 to 1, vindr_cxr 5 to "
        "1, the others but mimic_cxr not at all",
    )
    parser.add_argument(
        "--appearance",
        choices=APPEARANCES,
        default="plain",
        help="plain; varied: bodies from infants to the obese, textures, patterns, exposures and words as varied as "
        "real ones; or mixed: half of the patients, drawn, are varied (default: plain)",
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="processes; the output does not depend on it (default: 1)"
    )
    args = parser.parse_args(argv)
    options = PhantomOptions(args.patients, args.seed, args.size, tuple(args.split), args.appearance)
    try:
        summary = LAYOUTS[args.layout](args.out, options, workers=args.workers)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    counts = f"{summary['patients']} patients, {summary['studies']} studies, {summary['images']} images"
    print(f"{args.out}: {counts} {'written' if summary['written'] else 'are there already, nothing to do'}.")
    print(f"Next:\n  {shell_line('prepare', args.layout, '--raw', args.out, '--out', f'data/{args.layout}')}")
    return 0
