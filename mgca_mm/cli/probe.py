"""Compare a pretrained image encoder with its random initialization by a linear probe, and test retrieval."""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from torch import nn
from torch.utils.data import Dataset

from mgca_mm.checkpoints.selection import select_checkpoint
from mgca_mm.cli.arguments import add_cfg_options, add_trust_checkpoint
from mgca_mm.datasets.pipelines import image_steps
from mgca_mm.engine import install
from mgca_mm.engine.config import load_config, require_data
from mgca_mm.engine.config_errors import errors_named_by_key
from mgca_mm.engine.pretrained import load_complete_model
from mgca_mm.engine.privacy import keep_files_private
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.engine.validation import validate
from mgca_mm.errors import UserError, exit_on_user_error
from mgca_mm.evaluation.linear_probe import LabeledFeatures, ProbeResult, extract_features, linear_probe, select
from mgca_mm.evaluation.retrieval import number_reports
from mgca_mm.files import write_output
from mgca_mm.progress import tracked
from mgca_mm.registry import DATASETS, METRICS, MODELS
from mgca_mm.visualization.curves import plot_probe, plot_training

FRACTIONS = (1, 10, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config of the pretraining")
    parser.add_argument("checkpoint", help="checkpoint of the pretraining, or its folder: the best")
    parser.add_argument("--out", required=True, help="folder of the table (md, json) and the pictures")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="labeled prepared folder to probe on, such as one of your own labels (default: the "
        "pretraining's, on which retrieval is tested, too)",
    )
    parser.add_argument("--seed", type=int, default=42, help="seed of the random initialization and the subset lists")
    add_trust_checkpoint(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    keep_files_private()
    install()
    with exit_on_user_error():
        cfg = load_config(args.config, args.cfg_options)
        validate(cfg)
        require_data(cfg, () if args.data else ("train", "val", "test"))
        init_default_scope("mgca_mm")
        checkpoint = select_checkpoint(args.checkpoint)
        with errors_named_by_key(cfg):
            results, retrieval = compare(cfg, checkpoint, args.seed, args.data)
        report(results, retrieval, checkpoint, Path(args.out))


def compare(
    cfg: Config, checkpoint: str, seed: int, data_root: str | None = None
) -> tuple[dict[str, dict[int, ProbeResult]], dict[str, float]]:
    """Probe both encoders; returns initialization → percent of labels → result, and the retrieval metrics.

    On another folder than the pretraining's (``data_root``) there are labels alone, and no retrieval.
    """
    train, test = data_sets(cfg, data_root)
    results = {}
    for name in ("random", "pretrained"):
        set_random_seed(seed)
        model = MODELS.build(cfg.model)
        if name == "pretrained":
            load_complete_model(model, checkpoint)
        features = [extract_features(model, split, title=f"{name} encoder") for split in (train, test)]
        results[name] = {
            percent: linear_probe(
                subset(features[0], data_root or cfg.data_root, percent, seed), features[1], test.metainfo["classes"]
            )
            for percent in FRACTIONS
        }
    return results, retrieve(cfg, model) if data_root is None else {}


def data_sets(cfg: Config, data_root: str | None) -> tuple[Dataset, Dataset]:
    """Training and test images with their labels, as the config's test shows them, of its folder or of another one."""
    pipeline = cfg.test_dataloader.dataset.pipeline
    if data_root is None:
        train = DATASETS.build({**cfg.train_dataloader.dataset, "pipeline": pipeline})
        return train, DATASETS.build(cfg.test_dataloader.dataset)
    return labeled_split(cfg, data_root, "train"), labeled_split(cfg, data_root, "test")


def labeled_split(cfg: Config, data_root: str, split: str, **options: Any) -> Dataset:
    """Images of a prepared folder with their labels, as the test of a config of pretraining shows them."""
    steps = image_steps(cfg.test_dataloader.dataset.pipeline)
    # The probe leaves uncertain labels out; what they count as elsewhere is of no account.
    labeled = dict(type="ChestXrayDataset", data_root=data_root, pipeline=steps, uncertain=0, test_mode=True)
    return DATASETS.build({**labeled, "ann_file": f"{split}.json", **options})


def subset(train: LabeledFeatures, data_root: str, percent: int, seed: int) -> LabeledFeatures:
    """Training features of a prepared subset list."""
    if percent == 100:
        return train
    path = Path(data_root) / "subsets" / f"train_{percent}pct_seed{seed}.txt"
    if not path.is_file():
        raise UserError(f"Subset list '{path}' does not exist; mgca-mm prepare writes lists for seeds 42, 43 and 44.")
    return select(train, set(path.read_text().split("\n")))


@torch.no_grad()
def retrieve(cfg: Config, model: nn.Module) -> dict[str, float]:
    """Image-report retrieval on the test pairs, with the number of reports that chance has to choose from.

    Empty for a model that writes reports instead of comparing them.
    """
    if not model.encodes_reports:
        return {}
    metric = METRICS.build(dict(type="ImageReportRetrieval", topk=(1, 5, 10)))
    loader = PrivateRunner.build_dataloader(cfg.test_dataloader, seed=0)
    model.eval()
    for batch in tracked(loader, "retrieval", len(loader)):
        samples = [sample.to_dict() for sample in model.test_step(batch)]
        metric.process(batch, samples)
    num_reports = len(set(number_reports(key for key, *_ in metric.results)))
    return {**metric.compute_metrics(metric.results), "num_reports": num_reports}


def report(results: dict, retrieval: dict[str, float], checkpoint: str, out: Path) -> None:
    """Print the tables and write them beside the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    lines = ["| linear probe, macro AUROC | " + " | ".join(f"{p} % of labels" for p in FRACTIONS) + " |"]
    lines.append("|---|" + "---|" * len(FRACTIONS))
    for name, probes in results.items():
        lines.append(f"| {name} encoder | " + " | ".join(f"{probes[p].macro:.1f}" for p in FRACTIONS) + " |")
    gains = [results["pretrained"][p].macro - results["random"][p].macro for p in FRACTIONS]
    lines.append("| gain | " + " | ".join(f"{gain:+.1f}" for gain in gains) + " |")
    if retrieval:
        chance = min(100, 500 / retrieval["num_reports"])
        lines += [
            "",
            f"Image → report recall@5 among {retrieval['num_reports']} held-out reports: {retrieval['i2t_R@5']:.1f} % "
            f"(chance {chance:.2f} %, {retrieval['i2t_R@5'] / chance:.0f} times chance); "
            f"report → image: {retrieval['t2i_R@5']:.1f} %.",
        ]
    left_out = {p: results["pretrained"][p].left_out for p in FRACTIONS if results["pretrained"][p].left_out}
    lines += [f"Left out at {p} % (one label value only): {', '.join(names)}." for p, names in left_out.items()]
    text = "\n".join(lines)
    print(text)
    write_output(out / "probe.md", text + "\n")
    numbers = {
        "probe": {
            name: {str(p): {"macro": probes[p].macro, "per_class": probes[p].per_class} for p in FRACTIONS}
            for name, probes in results.items()
        },
        "retrieval": retrieval,
    }
    write_output(out / "probe.json", json.dumps(numbers, indent=2) + "\n")
    macro = {name: {percent: result.macro for percent, result in probes.items()} for name, probes in results.items()}
    pictures = [plot_probe(macro, out / "probe.png"), *plot_training(Path(checkpoint).parent, out / "training.png")]
    print("\nWritten:", *(str(path) for path in (out / "probe.md", out / "probe.json", *pictures)), sep="\n  ")
