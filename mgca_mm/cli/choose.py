"""Choose the pairs that a pretraining learns from: those that are farthest from prototypes, and as many at random.

Example: ``mgca-mm choose quickstart/pretrain_resnet18 work_dirs/quickstart/run --percent 25 --out work_dirs/quarter``,
then a pretraining with ``--cfg-options train_dataloader.dataset.subset=FOLDER/chosen.txt`` or ``…/random.txt``.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from sklearn.cluster import KMeans
from torch import nn
from torch.utils.data import DataLoader

from mgca_mm.apis.models import get_model
from mgca_mm.cli.arguments import add_cfg_options, add_trust_checkpoint, positive_int
from mgca_mm.engine import install
from mgca_mm.engine.config import require_data
from mgca_mm.engine.privacy import keep_files_private
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.errors import UserError, exit_on_user_error
from mgca_mm.files import write_output
from mgca_mm.progress import tracked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="config of the pretraining, whose training pairs are chosen from")
    parser.add_argument("checkpoint", help="its checkpoint, which embeds the pairs, or its folder: the best")
    parser.add_argument("--percent", type=percentage, required=True, help="of the training pairs, to be chosen")
    parser.add_argument("--prototypes", type=positive_int, default=64, help="number of clusters (default: %(default)s)")
    parser.add_argument("--seed", type=seed, default=42, help="seed of the clusters and of the random list")
    parser.add_argument("--out", type=Path, required=True, help="folder of the lists chosen.txt and random.txt")
    add_trust_checkpoint(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    keep_files_private()
    install()
    with exit_on_user_error():
        init_default_scope("mgca_mm")
        model = get_model(args.config, args.checkpoint, cfg_options=args.cfg_options)
        require_data(model.cfg, ("train",))
        model.require_embeddings()
        loader = training_pairs(model.cfg)
        total = len(loader.dataset)
        count = round(total * args.percent / 100)
        if not (count and total > args.prototypes):
            raise UserError(
                f"{args.percent:g} % of {total} pairs cannot be chosen by {args.prototypes} prototypes.\n"
                "Give a higher --percent, or fewer --prototypes than there are pairs."
            )
        image_ids, embeddings = embed_pairs(model, loader)
        out = args.out.absolute()  # a config takes other names from its data's folder
        out.mkdir(parents=True, exist_ok=True)
        lists = dict(
            chosen=farthest(embeddings, args.prototypes, count, args.seed),
            random=np.random.RandomState(args.seed).permutation(total)[:count],
        )
        for name, rows in lists.items():
            lines = "".join(f"{image_ids[row]}\n" for row in sorted(rows))
            write_output(out / f"{name}.txt", lines.encode("utf-8", "surrogateescape"))
        print(f"{count:,} of {total:,} pairs: {out / 'chosen.txt'}, and at random {out / 'random.txt'}")


def percentage(text: str) -> float:
    """Number above 0 and at most 100."""
    if not 0 < (number := float(text)) <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 100")
    return number


def seed(text: str) -> int:
    """Number that NumPy takes as a seed."""
    if not 0 <= (number := int(text)) < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not in 0 … 2^32 - 1")
    return number


def training_pairs(cfg: ConfigDict) -> DataLoader:
    """The training pairs of a config, as its test shows them.

    Raises:
        UserError: They are of several folders, or images do not have their own reports.
    """
    test, dataset = cfg.test_dataloader, cfg.train_dataloader.dataset
    if dataset.type.rpartition(".")[2] != "ImageReportDataset" or dataset.get("reports"):
        raise UserError("Pairs are chosen of one prepared folder, whose images have their own reports: set data_root.")
    shown = {**dataset, "pipeline": test.dataset.pipeline, "test_mode": True}
    return PrivateRunner.build_dataloader({**test, "dataset": shown}, seed=0)


@torch.no_grad()
def embed_pairs(model: nn.Module, loader: DataLoader) -> tuple[list[str], np.ndarray]:
    """Image ids (N) and embeddings (N, 2D), of image and report side by side."""
    image_ids, embeddings = [], []
    for batch in tracked(loader, "pairs", len(loader)):
        for sample in model.test_step(batch):
            image_ids.append(sample.image_id)
            embeddings.append(torch.cat([sample.image_embedding, sample.report_embedding]).float().cpu())
    return image_ids, torch.stack(embeddings).numpy()


def farthest(embeddings: np.ndarray, num_prototypes: int, count: int, seed: int) -> np.ndarray:
    """Rows of (N, D) embeddings that are farthest from their nearest prototype, a center of k-means.

    The criterion of Sorscher et al. (*Beyond neural scaling laws*, NeurIPS 2022, the self-supervised metric): what lies
    near a prototype is typical, and there are many like it.
    """
    clusters = KMeans(num_prototypes, n_init=1, random_state=seed).fit(embeddings)
    distances = clusters.transform(embeddings).min(axis=1)
    return np.argsort(-distances, kind="stable")[:count]
