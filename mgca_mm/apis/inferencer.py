"""A trained model for people: radiographs and reports in, embeddings, matches, scores and heat maps out."""

import copy
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.registry import DefaultScope
from torch import Tensor

from mgca_mm.datasets.pipelines import image_steps
from mgca_mm.errors import UserError
from mgca_mm.models import PrototypeAlignment
from mgca_mm.models.grounding import phrase_maps
from mgca_mm.models.prompts import NORMAL, make_prompts
from mgca_mm.models.sentence_embedder import mean_embedding
from mgca_mm.models.zero_shot import presence
from mgca_mm.prepared import words_of
from mgca_mm.progress import tracked
from mgca_mm.registry import TRANSFORMS
from mgca_mm.reports.cleaning import WORDS, clean_phrase, report_sentences
from mgca_mm.reports.sections import drop_section_names
from mgca_mm.structures import ImageFeatures, TextFeatures
from mgca_mm.visualization.attention import Grounding

from .index import EmbeddingIndex, Kind, Match
from .inputs import ImageInput, NamedImage, list_images
from .models import get_model
from .run_folder import frame_of

_LOADING = "LoadRadiograph"
_TOKENIZING = "TokenizeReport"


class RadiographInferencer:
    """Use a pretrained model, in the manner of MMEngine's inferencers.

    Images are files (JPEG, PNG, DICOM) or their bytes, folders, PIL images, arrays, tensors, or lists of these
    (:func:`.inputs.list_images`); reports are texts, cleaned as in the preparation (impression and findings, sentences
    of lower-case words).

    Args:
        config: Name of the pretraining's config, as ``mgca/pretrain_vit``, or its file.
        weights: Checkpoint of it, or the run's folder, of which the best one is taken. None: as the config builds it,
            untrained, for comparison.
        device: Such as ``'cuda'``. None: a GPU where there is one.
        cfg_options: Changes of the config, dotted key → value; ``data_root`` is where the tokenizer of the prepared
            data stands.
        batch_size: Images or reports at a time.
        show_progress: A bar where there are several batches.
        words: Which words of a text are kept, ``ascii`` or ``unicode``, as in the preparation of what the model has
            learned from. None: as the checkpoint says, or else the folder ``data_root``.

    Attributes:
        frame: How the model sees a radiograph.
        words: Which words are kept.

    Raises:
        UserError: The config or the checkpoint is missing, faulty, or they do not belong together; an argument is none
            of those named.
    """

    def __init__(
        self,
        config: str | Path,
        weights: str | Path | None,
        device: str | None = None,
        cfg_options: dict | None = None,
        batch_size: int = 32,
        show_progress: bool = True,
        words: str | None = None,
    ):
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, got {batch_size}")
        if words not in (None, *WORDS):
            raise UserError(f"words must be one of {', '.join(WORDS)}, got {words!r}")
        self.batch_size = batch_size
        self.show_progress = show_progress
        self.model = get_model(config, weights, device, cfg_options)
        self.device = next(self.model.parameters()).device
        with DefaultScope.overwrite_default_scope("mgca_mm"):
            self._build_pipelines(self.model.cfg)
        learned = self.model.dataset_meta.get("words") if isinstance(self.model.dataset_meta, dict) else None
        self.words = words or (learned if learned in WORDS else words_of(self._data_root))

    def _build_pipelines(self, cfg: Config) -> None:
        """The test pipeline in two halves, that of the image and that of the report."""
        dataset = cfg.test_dataloader.dataset
        steps = [copy.deepcopy(step) for step in dataset.pipeline]
        kinds = [step["type"].rpartition(".")[2] for step in steps]
        if _TOKENIZING not in kinds:
            raise UserError(f"{cfg.filename} has no {_TOKENIZING} in its test pipeline: it is no pretraining config.")
        self._image_pipeline = Compose(image_steps(steps, without=(_LOADING,)))
        self._tokenize = TRANSFORMS.build(steps[kinds.index(_TOKENIZING)])
        self._data_root = dataset.get("data_root")
        frame = frame_of(dataset.pipeline, self.model.data_preprocessor.crop_size)
        if frame is None:
            raise UserError(f"{cfg.filename} has no ResizeAndPad in its test pipeline: images of any size need it.")
        self.frame = frame

    def embed_images(self, images: ImageInput | Iterable[ImageInput]) -> Tensor:
        """Unit embeddings (N, D) of images.

        Raises:
            UserError: An image cannot be read; the message names it.
        """
        named = list_images(images)
        return torch.cat([self._encode_images(batch).global_feature.cpu() for batch in self._batches(named, "images")])

    def embed_reports(self, reports: str | Iterable[str]) -> Tensor:
        """Unit embeddings (N, D) of reports or phrases.

        Raises:
            UserError: A report is no text or has no words, or there is none.
        """
        texts = _as_list(reports)
        cleaned = [clean_report(text, number, self.words) for number, text in enumerate(texts)]
        return self._embed_cleaned(cleaned)

    def similarity(self, images: ImageInput | Iterable[ImageInput], reports: str | Iterable[str]) -> Tensor:
        """Cosine (N, M) of each image with each report."""
        return self.embed_images(images) @ self.embed_reports(reports).T

    def build_index(
        self, images: ImageInput | Iterable[ImageInput] | None = None, reports: str | Iterable[str] | None = None
    ) -> EmbeddingIndex:
        """Embed what is to be searched among; ``.save(DIR)`` keeps it.

        Args:
            images: As in :meth:`embed_images`.
            reports: As in :meth:`embed_reports`; the same text twice is one entry.

        Raises:
            UserError: There is neither, or one of them cannot be read.
        """
        entries = {}
        if images is not None:
            named = list_images(images)
            entries["images"] = ([image.name for image in named], self.embed_images(named))
        if reports is not None:
            texts = list(dict.fromkeys(_as_list(reports)))
            entries["reports"] = (texts, self.embed_reports(texts))
        if not entries:
            raise UserError("An index needs images, reports or both.")
        return EmbeddingIndex(self.fingerprint, **entries)

    def retrieve(
        self,
        index: EmbeddingIndex,
        kind: Kind,
        *,
        images: ImageInput | Iterable[ImageInput] | None = None,
        reports: str | Iterable[str] | None = None,
        topk: int = 5,
    ) -> list[list[Match]]:
        """Find what is nearest: image → reports, report → images, image → images, report → reports.

        Args:
            index: Of :meth:`build_index` with the same model.
            kind: What to find, ``'images'`` or ``'reports'``.
            images: The queries, or
            reports: the queries.
            topk: Finds for each query.

        Returns:
            For each query its finds, the nearest first.

        Raises:
            UserError: There are both kinds of queries or none, or the index is of another model or has nothing of the
                kind.
        """
        if (images is None) == (reports is None):
            raise UserError("Give either images or reports as queries.")
        self.require_own(index)
        queries = self.embed_images(images) if reports is None else self.embed_reports(reports)
        return index.search(queries, kind, topk)

    def zero_shot(
        self,
        images: ImageInput | Iterable[ImageInput],
        findings: str | Sequence[str] | Mapping[str, Sequence[Sequence[str]]],
        templates: Mapping[str, Sequence[str]] | None = None,
        temperature: float = 0.1,
    ) -> Tensor:
        """Score findings without training for them: is an image nearer to "there is …" or to "there is no …"?

        Args:
            images: N images, as in :meth:`embed_images`.
            findings: C names, those of CheXpert or any phrase; or name → phrases that say it is there, and phrases
                that say it is not.
            templates: ``present`` and ``absent``: sentences with ``{}`` for the name. None: see
                :func:`mgca_mm.models.prompts.make_prompts`.
            temperature: That of the softmax over the two.

        Returns:
            (N, C) scores from 0 to 1. They rank images; they are no probabilities of disease.

        Raises:
            UserError: An image cannot be read, a finding has no sentences, or the temperature is not positive.
        """
        if not temperature > 0:
            raise UserError(f"temperature must be above 0, got {temperature}")
        return presence(self.embed_images(images), self.finding_directions(findings, templates), temperature)

    def finding_directions(
        self,
        findings: str | Sequence[str] | Mapping[str, Sequence[Sequence[str]]],
        templates: Mapping[str, Sequence[str]] | None = None,
    ) -> Tensor:
        """Where in the space of embeddings a finding is there: (C, D), "there is …" less "there is no …".

        ``embed_images(images) @ finding_directions(findings).T`` is the signed score that :meth:`zero_shot` squeezes to
        0…1: above 0 where an image is nearer to the sentences for a finding than to those against it.

        Args:
            findings: As in :meth:`zero_shot`.
            templates: As there.

        Raises:
            UserError: A finding has no sentences.
        """
        prompts = make_prompts(findings, templates, self.words)
        present, absent = (
            torch.stack([mean_embedding(self._embed_cleaned(phrases)) for phrases in side])
            for side in zip(*prompts.values(), strict=True)
        )
        return present - absent

    def ground(self, image: ImageInput, phrase: str | Sequence[str]) -> np.ndarray:
        """Where in an image a phrase is.

        Args:
            image: One image.
            phrase: Such as "left pleural effusion"; or N phrases.

        Returns:
            (H, W) float32 in the image's own pixels, or (N, H, W), higher where the phrase is looked for, in
            differences of cosine (:func:`mgca_mm.models.grounding.phrase_maps`); NaN where the model does not see the
            image, cut off by its center crop.

        Raises:
            UserError: The image cannot be read, or a phrase has no words.
        """
        pixels, phrases = self.read(image), _as_list(phrase)
        packed = self._pack([NamedImage("image", pixels)])["image"]
        present = self._embed_cleaned([clean_report(text, number, self.words) for number, text in enumerate(phrases)])
        directions = (present - mean_embedding(self._embed_cleaned(NORMAL))).to(self.device)
        maps = [
            phrase_maps(self.model, packed.expand(len(batch), -1, -1, -1), batch)
            for batch in self._batches(directions, "phrases")
        ]
        grids = torch.cat(maps).cpu().numpy()
        side = math.isqrt(grids.shape[1])
        laid = np.stack([self.frame.to_image(grid.reshape(side, side), *pixels.shape) for grid in grids])
        return laid[0] if isinstance(phrase, str) else laid

    def attend(self, image: ImageInput, report: str) -> Grounding:
        """The learned attention between each word of a report and each region of an image, both ways (paper, Figure 3).

        Raises:
            UserError: The image cannot be read, the report has no words, or the model has no tokens.
        """
        pixels, text = self.read(image), clean_report(report, words=self.words)
        self.model.require_embeddings()
        if not self.model.uses_tokens:
            raise UserError(
                f"The model's alignments ({', '.join(self.model.alignments)}) use no regions: there is no attention "
                "between words and regions.\nTake a checkpoint of MGCA (with cta) or of GLoRIA."
            )
        features = self._encode_images([NamedImage("image", pixels)]), self._encode_texts([text])
        words = self._tokenize.words(dict(report=text, data_root=self._data_root))
        return Grounding.of(self.model.attend(*features), features[1], words)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the model's weights."""
        found = hashlib.sha256()
        for tensor in self.model.state_dict().values():
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return found.hexdigest()

    def require_own(self, index: EmbeddingIndex) -> None:
        """Refuse an index whose embeddings are of other weights: they cannot be compared with this model's.

        Raises:
            UserError: It is of another model.
        """
        if index.model != self.fingerprint:
            raise UserError("The index was made with another checkpoint: make it again with this one.")

    def prototypes(self) -> Tensor | None:
        """Unit prototypes (K, D) of the model; None where it has none.

        Raises:
            UserError: The model embeds nothing.
        """
        self.model.require_embeddings()
        found = [part for part in self.model.alignments.values() if isinstance(part, PrototypeAlignment)]
        return F.normalize(found[0].prototypes.detach().cpu(), dim=1) if found else None

    @staticmethod
    def read(image: ImageInput) -> np.ndarray:
        """Gray levels (H, W), uint8, of one image, for drawing."""
        return _single(image).read()

    @torch.no_grad()
    def _encode_images(self, images: Sequence[NamedImage]) -> ImageFeatures:
        self.model.require_embeddings()
        return self.model.embed_images(self._pack(images))

    @torch.no_grad()
    def _encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        self.model.require_embeddings()
        inputs = self._tokenize.batch(texts, self._data_root)
        return self.model.embed_reports({key: value.to(self.device) for key, value in inputs.items()})

    def _embed_cleaned(self, texts: Sequence[str]) -> Tensor:
        return torch.cat([self._encode_texts(batch).global_feature.cpu() for batch in self._batches(texts, "reports")])

    def _pack(self, images: Sequence[NamedImage]) -> dict[str, Tensor]:
        """Images through the test pipeline, on the device."""
        packed = []
        for image in images:
            pixels = image.read()
            sample = self._image_pipeline(dict(img=pixels, img_shape=pixels.shape, ori_shape=pixels.shape))
            packed.append(sample["inputs"])
        return self.model.data_preprocessor(dict(inputs=default_collate(packed)), training=False)["inputs"]

    def _batches(self, items: Sequence, title: str) -> Iterator[Sequence]:
        starts = range(0, len(items), self.batch_size)
        for start in tracked(starts, title, len(starts)) if self.show_progress and len(starts) > 1 else starts:
            yield items[start : start + self.batch_size]


def clean_report(text: str, number: int = 0, words: str = "ascii") -> str:
    """A report's impression and findings, or a phrase, as the text encoder was trained on them.

    A sentence of one word is dropped, as in the preparation; a text of nothing else is kept as a phrase.

    Args:
        text: The report.
        number: Its number, for the message.
        words: Which words are kept, see :func:`mgca_mm.reports.cleaning.clean_text`.

    Raises:
        UserError: It is no text or has no words; the message has its number and nothing of its text.
    """
    _require_text(text, number)
    cleaned = " ".join(report_sentences(text, words)) or clean_phrase(drop_section_names(text), words)
    if not cleaned:
        others = not clean_phrase(text, "unicode").isascii()
        remedy = "\nA model that was pretrained on other scripts than Latin takes them by words='unicode'."
        raise UserError(f"report {number}: there are no words in it{remedy if others else ''}")
    return cleaned


def _as_list(reports: str | Iterable[str]) -> list[str]:
    """One report or several.

    Raises:
        UserError: There is none, or it is no text.
    """
    is_table = isinstance(reports, Mapping) or hasattr(reports, "columns")
    if is_table or not isinstance(reports, Iterable) or (isinstance(reports, np.ndarray) and reports.ndim == 0):
        raise UserError(f"reports are {type(reports).__name__}.\nGive one text (str), or a list or column of texts.")
    texts = [reports] if isinstance(reports, str | bytes) else list(reports)
    if not texts:
        raise UserError("no report was given")
    for number, text in enumerate(texts):
        _require_text(text, number)
    return texts


def _require_text(text: object, number: int) -> None:
    if not isinstance(text, str):
        raise UserError(f"report {number} is no text, but {type(text).__name__}.\nGive str; leave out what is missing.")


def _single(image: ImageInput) -> NamedImage:
    named = list_images(image)
    if len(named) > 1:
        raise UserError(f"Give one image, not {len(named)}.")
    return named[0]
