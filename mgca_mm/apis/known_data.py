"""The data that a page compares with: embedded once, while it is open, and kept for the next time."""

import math
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mgca_mm.bounds import size_of
from mgca_mm.errors import UserError
from mgca_mm.files import write_atomically
from mgca_mm.structures import ImageFeatures

from .index import NAMES, EmbeddingIndex
from .inferencer import RadiographInferencer
from .inputs import ImageInput
from .prepared import Pair

NUM_PLACES = 16  # 4 × 4
_BATCH = 32
_REMEMBERED = 2000  # images whose places are kept, evenly spaced; 16 × C numbers each
_SAME = 0.999  # cosine of an image's embedding with the kept one, at least: machines round differently
_USUAL = 0.99  # share of the data's own images that are as near to another as the bound asks for
_PLACES = "places.safetensors"


def embed_with_places(
    inferencer: RadiographInferencer, images: ImageInput | Iterable[ImageInput]
) -> tuple[Tensor, Tensor]:
    """Unit embeddings (N, D) of images, and unit features (N, 16, C) of 4 × 4 places of what the model sees.

    The features are those of the encoder's regions before any projection, which still tell what kind of picture it is.
    Where the regions make no square, 16 places in their order.

    Raises:
        UserError: An image cannot be read; the message names it.
    """
    places: list[Tensor] = []

    def watch(encoder: nn.Module, inputs: tuple, features: ImageFeatures) -> None:
        places.append(F.normalize(_places(features.tokens.float()), dim=-1).cpu())

    watching = inferencer.model.image_encoder.register_forward_hook(watch)
    try:
        return inferencer.embed_images(images), torch.cat(places)
    finally:
        watching.remove()


def _places(tokens: Tensor) -> Tensor:
    """(B, S, C) regions → (B, 16, C), each the mean of those that lie there."""
    maps, side = tokens.transpose(1, 2), math.isqrt(tokens.shape[1])
    if side * side == tokens.shape[1]:
        pooled = F.adaptive_avg_pool2d(maps.unflatten(2, (side, side)), math.isqrt(NUM_PLACES)).flatten(2)
    else:
        pooled = F.adaptive_avg_pool1d(maps, NUM_PLACES)
    return pooled.transpose(1, 2)


class KnownData:
    """Embeddings of a split, and what is usual in it.

    An image is *unusual* where it looks like none of the data. Its embedding cannot say so, for it keeps what reports
    speak of. So the encoder's features of 4 × 4 places are compared, each with the data's at the same place; the mean
    of the 16 largest cosines is how near the image is to the data. The bound is the 1st percentile of what the data's
    own images reach among the others (nearest neighbors of features: Sun et al., ICML 2022; place by place: Defard et
    al., PaDiM, 2021).

    Args:
        inferencer: The model.
        pairs: The data, at least one pair.
        model_in_use: Held while the model works; given free between two batches.
        folder: Where the embeddings are kept. One of other data or of another checkpoint gives way. None: nowhere.
        made_from: File of the data; an index that is older gives way, too. None: there is none.

    Attributes:
        done: Images embedded so far.
        failure: What went wrong, such as an image that cannot be read; None if nothing did.
        is_kept: Whether the folder could be written.
        index: Images by their names, and reports. None until it is ready.
    """

    def __init__(
        self,
        inferencer: RadiographInferencer,
        pairs: Sequence[Pair],
        model_in_use: threading.Lock,
        folder: Path | None = None,
        made_from: Path | None = None,
    ):
        self.inferencer = inferencer
        self.pairs = pairs
        self.folder = folder
        self.made_from = made_from
        self.done = 0
        self.failure: Exception | None = None
        self.is_kept = False
        self.index: EmbeddingIndex | None = None
        self._model_in_use = model_in_use
        remembered = range(0, len(pairs), -(-len(pairs) // _REMEMBERED))
        self._row_of = {number: row for row, number in enumerate(remembered)}

    def prepare(self) -> None:
        """Take what is kept or embed the data, which takes a while; what goes wrong is told by :attr:`failure`."""
        try:
            if not self._load():
                self._embed()
            self.bound = self._find_bound()
            self.index = self._index
        except (UserError, OSError, RuntimeError) as error:  # the last of a device without memory, for instance
            self.failure = error

    @property
    def outcome(self) -> str:
        """What has come of it, for the terminal."""
        if self.failure is not None:
            return f"The data cannot be searched: {self.failure}"
        where = f"in {self.folder}" if self.is_kept else f"nowhere: {self.folder} cannot be written"
        return f"{len(self.pairs):,} images are embedded. This is kept {where}."

    def nearness(self, places: Tensor, number: int | None = None) -> float:
        """How near an image is to the data: mean over its places of the largest cosine, at most 1.

        Args:
            places: (16, C) unit features, of :func:`embed_with_places`.
            number: The image's own position in the data, which does not count. None: it is none of them.
        """
        return float(self._nearness(places[None], [number])[0])

    def _nearness(self, places: Tensor, numbers: Sequence[int | None]) -> Tensor:
        """As :meth:`nearness`, of several images: (B, 16, C) → (B,)."""
        cosines = torch.einsum("bpc,npc->bnp", places, self._places)
        for row, number in enumerate(numbers):
            if number in self._row_of:
                cosines[row, self._row_of[number]] = -1
        return cosines.amax(dim=1).mean(dim=1)

    def _load(self) -> bool:
        """Take what is kept, if it is of this data and this checkpoint."""
        if self.folder is None:
            return False
        try:
            if self.made_from is not None and self.made_from.stat().st_mtime > (self.folder / NAMES).stat().st_mtime:
                return False
            self._index = EmbeddingIndex.load(self.folder)
            self.inferencer.require_own(self._index)
            size_of(self.folder / _PLACES)
            with safe_open(self.folder / _PLACES, "pt") as file:
                self._places = file.get_tensor("places").float()
        except (UserError, OSError, SafetensorError):
            return False
        names, reports = self._names()
        if self._index.names("images") != names or self._index.names("reports") != reports:
            return False
        shape = (len(self._row_of), NUM_PLACES, self.inferencer.model.image_encoder.token_channels)
        if self._places.shape != shape or not self._places.isfinite().all():
            return False
        with self._model_in_use:
            first = self.inferencer.embed_images(self.pairs[0].image)[0]
        kept = self._index.embeddings("images")[0]
        if kept.shape != first.shape or kept @ first < _SAME:
            return False
        self.done, self.is_kept = len(self.pairs), True
        return True

    def _names(self) -> tuple[list[str], list[str]]:
        return [pair.image.name for pair in self.pairs], list(dict.fromkeys(pair.report for pair in self.pairs))

    def _embed(self) -> None:
        names, reports = self._names()
        embeddings, places = [], []
        self.done = 0
        for start in range(0, len(names), _BATCH):
            images = [pair.image for pair in self.pairs[start : start + _BATCH]]
            with self._model_in_use:
                found = embed_with_places(self.inferencer, images)
            kept = [row for row in range(len(images)) if start + row in self._row_of]
            embeddings.append(found[0])
            places.append(found[1][kept])
            self.done += len(images)
            time.sleep(0.02)  # or this thread has the lock again before a click that waits for it
        of_reports = []
        for start in range(0, len(reports), _BATCH):
            with self._model_in_use:
                of_reports.append(self.inferencer.embed_reports(reports[start : start + _BATCH]))
            time.sleep(0.02)
        self._places = torch.cat(places)
        self._index = EmbeddingIndex(
            self.inferencer.fingerprint,
            images=(names, torch.cat(embeddings)),
            reports=(reports, torch.cat(of_reports)),
        )
        self._keep()

    def _keep(self) -> None:
        """Write it, where that is possible."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # First: if that is all that is written, the names of the index are still those of other data.
            write_atomically(self.folder / _PLACES, save({"places": self._places.half()}))
            self._index.save(self.folder)
            self.is_kept = True
        except OSError:
            self.is_kept = False

    def _find_bound(self) -> float:
        """The nearness that all but a hundredth of the data's own images reach."""
        numbers = list(self._row_of)
        found = [
            self._nearness(self._places[start : start + _BATCH], numbers[start : start + _BATCH])
            for start in range(0, len(numbers), _BATCH)
        ]
        return float(torch.cat(found).quantile(1 - _USUAL))
