"""What a pretrained model has learned, for one page: maps of phrases, nearest images, and scores of findings."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import Tensor

from mgca_mm.prepared import read_annotations
from mgca_mm.reports.finding_words import find_mentions
from mgca_mm.visualization.attention import CONTRAST_LIMITS, blend, choose_phrases, phrases_of
from mgca_mm.visualization.attention_figure import attention_figure
from mgca_mm.visualization.curves import training_figure
from mgca_mm.visualization.html_report import embed_figure, embed_image, embed_picture

from .inferencer import RadiographInferencer
from .prepared import Pair, findings_of
from .run_folder import training_of

_EXAMPLES, _QUERIES, _NEAREST = 6, 4, 4


def describe_run(inferencer: RadiographInferencer, run: str | Path | None, pairs: Sequence[Pair]) -> dict:
    """What is to be said of a run, see ``html_report.html``.

    Args:
        inferencer: The model.
        run: Its checkpoint, or the folder of its run. None: it is untrained.
        pairs: Held-out pairs.

    Raises:
        UserError: The model does not compare images with reports, or an image cannot be read.
    """
    cfg = inferencer.model.cfg
    metainfo, trained_on = read_annotations(Path(cfg.data_root, "train.json"))
    training = None if run is None else training_of(run)
    curve = None if run is None else training_figure(Path(run) if Path(run).is_dir() else Path(run).parent)
    examples = choose_examples(pairs, _EXAMPLES)
    embeddings = inferencer.embed_images([pair.image for pair in pairs])
    most_marked = max((pairs[position] for position, _ in examples), key=lambda pair: len(pair.boxes), default=None)
    return {
        "config": Path(cfg.filename).stem,
        "facts": training.facts if training else {"config": Path(cfg.filename).stem},
        "dataset": metainfo.get("dataset") or Path(cfg.data_root).name,
        "trained_on": None if run is None else len(trained_on),
        "held_out": len(pairs),
        "boxed": any(pair.boxes for pair in pairs),
        "training": curve and embed_figure(curve),
        "examples": [describe_example(inferencer, pairs[position], phrase) for position, phrase in examples],
        "attention": most_marked and draw_words(inferencer, most_marked),
        "nearest": describe_nearest(embeddings, pairs, [position for position, _ in examples[:_QUERIES]]),
        "zero_shot": score_findings(inferencer, embeddings, pairs),
    }


def choose_examples(pairs: Sequence[Pair], count: int) -> list[tuple[int, str]]:
    """Take the first pair in which a finding is named, for some findings: those with boxes, if there are any.

    Args:
        pairs: Held-out pairs.
        count: How many, at most.

    Returns:
        Position of each and the phrase that names its finding.
    """
    phrases_of = _boxed_phrases if any(pair.boxes for pair in pairs) else _said_phrases
    chosen: dict[str, tuple[int, str]] = {}
    for position, pair in enumerate(pairs):
        for finding, phrase in phrases_of(pair):
            if finding not in chosen:
                chosen[finding] = position, phrase
                break  # the next finding in another image
        if len(chosen) == count:
            break
    return list(chosen.values())


def describe_example(inferencer: RadiographInferencer, pair: Pair, phrase: str) -> dict:
    """A phrase's map over the radiograph.

    Returns:
        ``phrase``; ``image``, ``map``; ``boxes`` (x, y, width, height) in percent of the image; ``sentences`` of the
        report, and whether they hold the phrase.
    """
    image = pair.image.read()
    height, width = image.shape
    sides = np.array([width, height, width, height])
    return {
        "phrase": phrase,
        "image": embed_image(image),
        "map": embed_image(blend(image, inferencer.ground(pair.image, phrase), CONTRAST_LIMITS)),
        "boxes": [(100 * np.array(box[:4]) / sides).round(2).tolist() for box in pair.boxes if box.name == phrase],
        "sentences": [(text, phrase in text) for text in pair.sentences],
    }


def draw_words(inferencer: RadiographInferencer, pair: Pair) -> str | None:
    """The figure of the attention between words and regions; None for a model without."""
    if not inferencer.model.uses_tokens:
        return None
    grounding = inferencer.attend(pair.image, pair.report)
    phrases = choose_phrases(grounding, pair.sentences)
    maps = inferencer.ground(pair.image, [phrase.text for phrase in phrases])
    drawn = phrases, maps, pair.sentences, pair.boxes
    return embed_picture(attention_figure(pair.image.read(), grounding, inferencer.frame, *drawn))


def describe_nearest(embeddings: Tensor, pairs: Sequence[Pair], queries: Sequence[int]) -> list[list[dict]]:
    """The nearest images to some, those of the same patient left out.

    Args:
        embeddings: (N, D) unit embeddings of the images.
        pairs: The N pairs to search among.
        queries: Positions.

    Returns:
        For each query its own image and then what was found: ``image``, ``findings`` (its labels, or what its report
        says), ``score``.
    """
    found = []
    for query in queries:
        scores = (embeddings @ embeddings[query]).tolist()
        patient = pairs[query].patient
        others = [n for n, pair in enumerate(pairs) if n != query and (patient is None or pair.patient != patient)]
        nearest = sorted(others, key=lambda n: -scores[n])[:_NEAREST]
        found.append(
            [
                {
                    "image": embed_image(pairs[n].image.read()),
                    "findings": findings_of(pairs[n]),
                    "score": scores[n],
                }
                for n in (query, *nearest)
            ]
        )
    return found


def score_findings(
    inferencer: RadiographInferencer, embeddings: Tensor, pairs: Sequence[Pair]
) -> dict[str, tuple[int, float]]:
    """Score the labels by sentences, without training for them.

    Args:
        inferencer: The model.
        embeddings: (N, D) of the images.
        pairs: The N pairs.

    Returns:
        Finding → positive images and AUROC in percent, uncertain ones left out; findings that some images have and
        others have not.
    """
    names = sorted({name for pair in pairs for name in pair.labels} - {"No Finding"})
    labels = {name: np.array([pair.labels.get(name, 0) for pair in pairs]) for name in names}
    labels = {name: column for name, column in labels.items() if {0, 1} <= set(column.tolist())}
    if not labels:
        return {}
    scores = (embeddings @ inferencer.finding_directions(list(labels)).T).numpy()  # (N, C)
    found = {}
    for (name, column), score in zip(labels.items(), scores.T, strict=True):
        known = column >= 0
        found[name] = int((column == 1).sum()), 100 * float(roc_auc_score(column[known], score[known]))
    return found


def _boxed_phrases(pair: Pair) -> Iterator[tuple[str, str]]:
    """Finding and phrase of each box."""
    for box in pair.boxes:
        mentions = find_mentions(box.name)
        yield (mentions[0].finding if mentions else box.name), box.name


def _said_phrases(pair: Pair) -> Iterator[tuple[str, str]]:
    """Finding and phrase of what the report says is there."""
    return ((phrase.finding, phrase.text) for phrase in phrases_of(pair.sentences) if not phrase.is_negated)
