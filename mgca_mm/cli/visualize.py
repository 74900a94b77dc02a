"""Draw what was learned: attention, embeddings, prototypes, a batch, the phantom, methods, or the scores of a grid."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from mgca_mm.cli.arguments import add_cfg_options, positive_int
from mgca_mm.engine import install
from mgca_mm.engine.privacy import keep_files_private
from mgca_mm.errors import UserError, exit_on_user_error
from mgca_mm.prepared import SPLITS

_ENOUGH = 5  # findings to draw the embeddings of
_DRAWN = 300  # images of a set whose grays and spectra are drawn
_COLUMNS, _QUERIES, _NEAREST, _SIDE = 8, 4, 4, 224  # of the figures of several sets; the last in pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    figures = parser.add_subparsers(dest="figure", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, required=True, help="file to write: .png, .svg or .pdf; a report: .html")
    configured = argparse.ArgumentParser(add_help=False, parents=[common])
    configured.add_argument("config", help="config of the pretraining, a file or a name such as mgca/pretrain_vit")
    add_cfg_options(configured)
    trained = argparse.ArgumentParser(add_help=False, parents=[configured])
    trained.add_argument(
        "checkpoint",
        help="checkpoint of the pretraining, or its folder: the best; or 'random': an untrained model, for comparison",
    )
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--max-images", type=positive_int, default=2000, help="at most so many images (default: 2000)")

    pair = argparse.ArgumentParser(add_help=False)
    pair.add_argument("--image", help="JPEG, PNG or DICOM file (default: a pair of the config's test data)")
    pair.add_argument("--report", help="what is said of it instead of its report: the text, or a file that holds it")
    pair.add_argument("--sample", type=int, default=0, help="which pair of the test data (default: 0)")
    pair.add_argument("--phrases", metavar="TABLE", help="true boxes: MS-CXR's table or phantom-phrases.csv")
    attention = figures.add_parser("attention", parents=[trained, pair], help="which regions the words look at")
    attention.add_argument("--words", nargs="+", help="words to draw (default: phrases that name a finding)")
    figures.add_parser("grounding", parents=[trained, pair], help="where the phrases are found, of any model")
    embeddings = figures.add_parser("embeddings", parents=[trained, data], help="images in the plane")
    embeddings.add_argument("--split", choices=SPLITS, help="default: test; train where that has more findings to draw")
    embeddings.add_argument("--method", choices=("tsne", "umap"), default="tsne")
    prototypes = figures.add_parser("prototypes", parents=[trained, data], help="images and words of the prototypes")
    prototypes.add_argument("--split", choices=SPLITS, default="test", help="of the config's data_root (default: test)")
    prototypes.add_argument("--count", type=positive_int, default=6, help="how many prototypes (default: 6)")
    batch = figures.add_parser("batch", parents=[configured], help="a training batch after augmentation")
    batch.add_argument("--count", type=positive_int, default=8, help="how many pairs (default: 8)")
    figures.add_parser("phantom", parents=[common], help="the phantom's findings")
    methods = figures.add_parser("methods", parents=[common], help="what methods compare: each a dict of alignments")
    methods.add_argument("configs", nargs="+", help="configs of pretrainings, one row each")
    report = figures.add_parser("report", parents=[trained, data], help="all of a run in one HTML file, to be sent")
    report.add_argument("--split", choices=SPLITS, default="test", help="of the config's data_root (default: test)")
    report.add_argument("--probe", type=Path, metavar="DIR", help="what mgca-mm probe has written: its numbers")
    report.add_argument("--phrases", type=Path, metavar="FILE", help="table of phrases with boxes, as MS-CXR's")
    report.add_argument("--steps", type=Path, metavar="FILE", help="steps.json of mgca-mm demo: commands and times")
    report.add_argument("--phantom", action="store_true", help="the data are made: no patient is shown")
    sets = argparse.ArgumentParser(add_help=False, parents=[data])
    sets.add_argument("--made", required=True, metavar="DIR", help="prepared folder of made radiographs")
    sets.add_argument("--real", required=True, nargs="+", metavar="DIR", help="prepared folders of real ones")
    gap = figures.add_parser("gap", parents=[common, sets], help="what tells made radiographs from real ones")
    gap.add_argument("--config", help="made ones as its training augments them, real ones as its test sees them")
    add_cfg_options(gap)
    figures.add_parser("samples", parents=[common, sets], help="made radiographs and real ones, at random")
    figures.add_parser("neighbors", parents=[trained, sets], help="made radiographs nearest to real ones, and reverse")
    reproduce = figures.add_parser("reproduce", parents=[common], help="score against the share of the labels")
    reproduce.add_argument("report", type=Path, help="report.json, as mgca-mm reproduce writes it")
    args = parser.parse_args()
    install()
    keep_files_private()  # figures show radiographs and words of reports
    with exit_on_user_error():
        from mgca_mm.visualization.style import require_place

        require_place(args.out, *([(".html",)] if args.figure == "report" else []))
        print(globals()[f"draw_{args.figure}"](args))


def draw_attention(args: argparse.Namespace) -> Path:
    from mgca_mm.visualization.attention import Phrase, choose_phrases
    from mgca_mm.visualization.attention_figure import draw_attention as draw

    inferencer = _inferencer(args)
    image, report, sentences, boxes = _pair(args, inferencer.words)
    grounding = inferencer.attend(image, report)
    if args.words:
        missing = [word for word in args.words if word.lower() not in grounding.words]
        if missing:
            raise UserError(f"--words {' '.join(missing)}: not in the report, as it was cleaned and cut.")
        places = [grounding.words.index(word.lower()) for word in args.words]
        phrases = [Phrase(slice(place, place + 1), grounding.words[place]) for place in places]
    else:
        phrases = choose_phrases(grounding, sentences)
    maps = inferencer.ground(image, [phrase.text for phrase in phrases])
    pixels = inferencer.read(image)
    return draw(pixels, grounding, inferencer.frame, args.out, phrases, maps, sentences, boxes)


def draw_grounding(args: argparse.Namespace) -> Path:
    from mgca_mm.visualization.attention import Phrase, finding_phrases
    from mgca_mm.visualization.attention_figure import draw_grounding as draw

    inferencer = _inferencer(args)
    image, report, sentences, boxes = _pair(args, inferencer.words)
    phrases = finding_phrases(sentences) or [Phrase(slice(0), report)]
    maps = inferencer.ground(image, [phrase.text for phrase in phrases])
    return draw(inferencer.read(image), phrases, maps, args.out, boxes)


def draw_embeddings(args: argparse.Namespace) -> Path:
    from mgca_mm.visualization.embeddings import balanced
    from mgca_mm.visualization.embeddings import draw_embeddings as draw

    inferencer = _inferencer(args)
    chosen: list = []
    for split in [args.split] if args.split else ["test", "train"]:
        pairs = _pairs(args, split)
        positions = balanced([pair.finding for pair in pairs], args.max_images)
        found = [pairs[position] for position in positions]
        if len({pair.finding for pair in found}) > len({pair.finding for pair in chosen}):
            chosen, drawn_of = found, split
        if len({pair.finding for pair in chosen}) >= _ENOUGH:
            break
    if not chosen:  # without labels, or with few images of one finding: all of them
        drawn_of = args.split or "test"
        chosen = _pairs(args, drawn_of)[: args.max_images]
    print(f"{len(chosen)} images of the {drawn_of} split")
    embeddings = inferencer.embed_images([pair.image for pair in chosen])
    prototypes = inferencer.prototypes()
    nearest = None if prototypes is None else (embeddings @ prototypes.T).argmax(dim=1).numpy()
    return draw(embeddings.numpy(), [pair.finding for pair in chosen], nearest, args.out, args.method)


def draw_prototypes(args: argparse.Namespace) -> Path:
    from mgca_mm.visualization.prototypes import draw_prototypes as draw

    inferencer, pairs = _inferencer(args), _pairs(args, args.split)[: args.max_images]
    prototypes = inferencer.prototypes()
    if prototypes is None:
        raise UserError("The model has no prototypes: take a checkpoint of MGCA with cpa.")
    images = [pair.image for pair in pairs]
    image_scores = (inferencer.embed_images(images) @ prototypes.T).numpy()
    report_scores = (inferencer.embed_reports([pair.report for pair in pairs]) @ prototypes.T).numpy()
    return draw(image_scores, report_scores, images, [pair.sentences for pair in pairs], args.out, args.count)


def draw_batch(args: argparse.Namespace) -> Path:
    import numpy as np
    from mmengine.dataset import default_collate
    from mmengine.registry import init_default_scope
    from mmengine.runner import set_random_seed

    from mgca_mm.engine.config import load_config, require_data
    from mgca_mm.engine.config_errors import errors_named_by_key
    from mgca_mm.engine.validation import validate
    from mgca_mm.registry import DATASETS, MODELS
    from mgca_mm.visualization.batch import draw_batch as draw

    cfg = load_config(args.config, args.cfg_options)
    validate(cfg)
    require_data(cfg, ("train",))
    init_default_scope("mgca_mm")
    set_random_seed(0)
    with errors_named_by_key(cfg):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        preprocess = MODELS.build(cfg.model.data_preprocessor)  # which crops on the device
    tokenize = next((step for step in dataset.pipeline.transforms if hasattr(step, "decode")), None)
    if tokenize is None:
        raise UserError(f"{args.config} trains without reports: batch draws pairs.")
    chosen = np.random.default_rng(0).permutation(len(dataset))[: args.count].tolist()
    fed = default_collate([dataset[number] for number in chosen])
    inputs = preprocess(fed, training=True)["inputs"]
    images = inputs["image"][:, 0] * preprocess.std + preprocess.mean
    return draw(images.numpy(), tokenize.decode(inputs["input_ids"]), args.out)


def draw_phantom(args: argparse.Namespace) -> Path:
    import cv2

    from mgca_mm.phantom.grid import figure
    from mgca_mm.visualization.style import Figure, save

    image = cv2.cvtColor(figure(), cv2.COLOR_BGR2RGB)
    drawn = Figure(figsize=(image.shape[1] / 150, image.shape[0] / 150))
    axes = drawn.add_axes((0, 0, 1, 1))
    axes.imshow(image)
    axes.set_axis_off()
    return save(drawn, args.out)


def draw_report(args: argparse.Namespace) -> Path:
    from mgca_mm.apis.run_report import describe_run
    from mgca_mm.benchmarks.machine import describe_machine
    from mgca_mm.files import write_output
    from mgca_mm.visualization.html_report import describe_probe, read_steps, render

    if args.probe and args.checkpoint == "random":
        raise UserError("--probe is of a trained run: leave it out where the untrained model is drawn.")
    probe = describe_probe(args.probe) if args.probe else None
    steps = read_steps(args.steps) if args.steps else []
    pairs = _pairs(args, args.split, args.phrases)[: args.max_images]
    run = describe_run(_inferencer(args), None if args.checkpoint == "random" else args.checkpoint, pairs)
    text = render(**run, probe=probe, steps=steps, machine=describe_machine(), phantom=args.phantom, split=args.split)
    write_output(args.out, text)
    return args.out


def draw_gap(args: argparse.Namespace) -> Path:
    import numpy as np
    from mmengine.runner import set_random_seed

    from mgca_mm.evaluation import domain_gap
    from mgca_mm.evaluation.gap_report import Measured, compare, markdown
    from mgca_mm.files import write_output
    from mgca_mm.progress import tracked
    from mgca_mm.radiographs.reading import resize_and_pad
    from mgca_mm.visualization.gap import draw_gap as draw

    sets = _sets(args)
    steps = dict.fromkeys(sets, lambda sample: sample)
    if args.config:
        set_random_seed(0)
        steps = dict.fromkeys(sets, _image_steps(args, "test")) | {"made": _image_steps(args, "train")}
    seen = {}
    for name, (images, _) in sets.items():
        read = ((pixels := image.read(), pixels.shape) for image in images)
        seen[name] = [steps[name](dict(img=pixels, img_shape=shape, ori_shape=shape))["img"] for pixels, shape in read]
    size = min(max(image.shape) for images in seen.values() for image in images)
    found, histograms, spectra = {}, {}, {}
    for name, images in seen.items():
        squares = [resize_and_pad(image, size) for image in images]
        measured = [domain_gap.measure(square) for square in tracked(squares, name, len(squares))]
        found[name] = Measured(np.array([list(each.values()) for each in measured]), sets[name][1])
        parts = [domain_gap.content(square) for square in squares[:_DRAWN]]
        histograms[name] = np.mean([np.bincount(part.ravel(), minlength=256) / part.size for part in parts], axis=0)
        frequencies, powers = zip(*map(domain_gap.power_spectrum, parts), strict=True)
        spectra[name] = frequencies[0], np.stack(powers)
    gap = {
        "size": size,
        "images": {name: len(images) for name, (images, _) in sets.items()},
        "patients": {name: len(set(patients)) for name, (_, patients) in sets.items()},
        **compare(list(measured[0]), found.pop("made"), found),
    }
    write_output(args.out.with_suffix(".json"), json.dumps(gap, indent=1) + "\n")
    write_output(args.out.with_suffix(".md"), text := markdown(gap))
    print(text)
    return draw(gap, histograms, spectra, args.out)


def draw_samples(args: argparse.Namespace) -> Path:
    import numpy as np

    from mgca_mm.radiographs.reading import resize_and_pad
    from mgca_mm.visualization.rows import draw_rows

    rows = []
    for name, (images, _) in _sets(args).items():
        drawn = np.random.default_rng(0).permutation(len(images))[:_COLUMNS]
        rows.append((name, [resize_and_pad(images[number].read(), _SIDE) for number in drawn]))
    return draw_rows(rows, args.out)


def draw_neighbors(args: argparse.Namespace) -> Path:
    import numpy as np
    import torch

    from mgca_mm.radiographs.reading import resize_and_pad
    from mgca_mm.visualization.rows import draw_rows

    sets = _sets(args)
    made, _ = sets.pop("made")
    real = [image for images, _ in sets.values() for image in images]
    trained = {} if args.checkpoint == "random" else {"trained": args.checkpoint}
    models, cosines = {**trained, "untrained": "random"}, []
    for checkpoint in models.values():
        inferencer = _inferencer(argparse.Namespace(**{**vars(args), "checkpoint": checkpoint}))
        cosines.append(inferencer.embed_images(real) @ inferencer.embed_images(made).T)
    rows = []
    for queries, others, kinds, of in ((real, made, "real / made", 0), (made, real, "made / real", 1)):
        scores = [each if of == 0 else each.T for each in cosines]
        found = [len(set(each.argmax(dim=1).tolist())) for each in scores]
        told = "; ".join(f"{name}: {count}" for name, count in zip(models, found, strict=True))
        heading = f"{kinds}: each with its nearest by the encoder {', then '.join(models)}\n"
        heading += f"of {len(others)}, so many are the nearest of any: {told}"
        for number in np.random.default_rng(0).permutation(len(queries))[:_QUERIES]:
            nearest = torch.cat([each[number].topk(_NEAREST).indices for each in scores])
            shown = [queries[number], *(others[each] for each in nearest)]
            rows.append((heading, [resize_and_pad(image.read(), _SIDE) for image in shown]))
            heading = ""
    return draw_rows(rows, args.out, gaps=range(1, 1 + _NEAREST * len(cosines), _NEAREST))


def draw_methods(args: argparse.Namespace) -> Path:
    from mgca_mm.engine.config import find_config, load_config
    from mgca_mm.visualization.methods import draw_methods as draw

    models = []
    for config in args.configs:
        path, model = find_config(config), load_config(config).get("model", {})
        if "image_encoder" not in model:
            raise UserError(f"{config} is no pretraining config: its model has no image_encoder.")
        models.append((f"{path.parent.name}/{path.stem}", model))
    return draw(models, args.out)


def draw_reproduce(args: argparse.Namespace) -> Path:
    from mgca_mm.reproduction.report import read_cells
    from mgca_mm.visualization.curves import plot_label_fractions

    if not args.report.exists():
        raise UserError(f"{args.report} does not exist: mgca-mm reproduce TABLE --out FOLDER makes it.")
    cells = read_cells(args.report)
    try:
        return plot_label_fractions(cells, args.out)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{args.report} is not a report.json of this version's mgca-mm reproduce") from error


def _sets(args: argparse.Namespace) -> dict[str, tuple]:
    """Frontal images, and whose they are, of ``made`` and of each real folder, by its own name."""
    from mgca_mm.apis.prepared import load_frontal

    folders = {"made": args.made} | {Path(folder).absolute().name: folder for folder in args.real}
    if len(folders) < 1 + len(args.real):
        raise UserError(
            "--real: folders have different names, none of them 'made', by which the figure tells them apart."
        )
    return {name: load_frontal(folder, args.max_images) for name, folder in folders.items()}


def _image_steps(args: argparse.Namespace, part: str) -> Callable[[dict], dict]:
    """What the config's training or test does to an image after reading it."""
    from mmengine.dataset import Compose
    from mmengine.registry import DefaultScope

    from mgca_mm.datasets.pipelines import image_steps
    from mgca_mm.engine.config import load_config

    pipeline = load_config(args.config, args.cfg_options)[f"{part}_dataloader"].dataset.pipeline
    with DefaultScope.overwrite_default_scope("mgca_mm"):
        return Compose(image_steps(pipeline, without=("LoadRadiograph", "PackImageReportInputs")))


def _inferencer(args: argparse.Namespace):
    from mmengine.runner import set_random_seed

    from mgca_mm.apis import RadiographInferencer

    if args.checkpoint == "random":
        set_random_seed(0)
    weights = None if args.checkpoint == "random" else args.checkpoint
    return RadiographInferencer(args.config, weights, cfg_options=args.cfg_options)


def _pairs(args: argparse.Namespace, split: str, phrases: str | None = None) -> list:
    from mgca_mm.apis.prepared import load_pairs
    from mgca_mm.engine.config import load_config

    cfg = load_config(args.config, args.cfg_options)
    return load_pairs(cfg.data_root, split, phrases)


def _pair(args: argparse.Namespace, words: str) -> tuple:
    """The image that is asked for, its report, the report's sentences, and its true boxes."""
    from mgca_mm.reports.cleaning import report_sentences

    report = _read_report(args.report) if args.report else None
    if args.image:
        if report is None:
            raise UserError("--image needs --report: the text, or a file that holds it.")
        if args.phrases:
            raise UserError("--phrases has the boxes of the data, not of --image: take --sample N.")
        return args.image, report, report_sentences(report, words), ()
    pairs = _pairs(args, "test", args.phrases)
    if not 0 <= args.sample < len(pairs):
        raise UserError(f"--sample {args.sample}: the test data has the pairs 0 to {len(pairs) - 1}.")
    pair = pairs[args.sample]
    if report is None:
        return pair.image, pair.report, pair.sentences, pair.boxes
    return pair.image, report, report_sentences(report, words), pair.boxes


def _read_report(text: str) -> str:
    """A report given on the command line, or the content of the file that is named."""
    try:
        return Path(text).read_text(encoding="utf-8", errors="replace") if Path(text).is_file() else text
    except OSError:  # too long for a name
        return text
