"""Indiana University chest X-rays (Demner-Fushman et al., 2016): the reports and images that Open-i distributes.

Neither views nor patients are published. A mirror of the collection has a table of views, ``indiana_projections.csv``;
with it laterals are dropped, without it they cannot be. The mirror has the reports, too, as ``indiana_reports.csv``,
which is read where those of Open-i are not there, and other names of the images; either go with either reports.
"""

import functools
import gzip
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from mgca_mm.bounds import allowed_bytes
from mgca_mm.errors import UserError
from mgca_mm.progress import tracked
from mgca_mm.reports.cleaning import decode_report
from mgca_mm.tables import Row, read_table

from .collection import Collection, FilterLog, Rejected, Sample, passes_text_filters
from .image_files import walk_files
from .options import Options
from .raw_folder import RawFolder
from .report_words import ReportWords, label_sections
from .splits import divide

_FOLDER = "ecgen-radiology"
_ARCHIVE = "NLMCXR_reports.tgz"
_PROJECTIONS = "indiana_projections.csv"
_REPORTS = "indiana_reports.csv"
_IMAGE_FOLDERS = ("NLMCXR_png", "images", "images/images_normalized", "images_normalized", ".")  # as known; first wins
_ENDINGS = (".png", ".jpg", ".jpeg", ".dcm")
_LAYOUTS = f"{_FOLDER}/N.xml, {_ARCHIVE}, or {_REPORTS} with {_PROJECTIONS}"
_REMEDY = "The reports and images are published at https://openi.nlm.nih.gov/faq#collection"
_MAX_BYTES = 1024 * 1024
_BLOCK = 1 << 20
_VIEWS = {"Frontal": "Frontal", "Lateral": "Lateral"}
_SECTIONS = ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")
_REPORT_FILE = re.compile(r"(^|/)[^./][^/]*\.xml$")  # no hidden one, as macOS puts into archives
_DEIDENTIFIED = re.compile(r"\bX{2,}\b")
# CXR207_IM-0703-1001, and CXR1_1_IM-0001-3001, are 207_IM-0703-1001 and 1_IM-0001-3001 to the mirror.
_NAME_OF_MIRROR = re.compile(r"(\d+_IM-)?[^_]*$")
Report = tuple[str, list[str], str]  # number, names of the images, text


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The reports, unpacked, in their archive or in the mirror's table, and the table of views if it is there."""
    found = [raw.optional(f"{_FOLDER}/{path.name}") for path in raw.file(_FOLDER).glob("[!.]*.xml")]
    archive = raw.optional(_ARCHIVE)
    reports_ = sorted(found, key=_number) or ([] if archive is None else [archive])
    projections = raw.optional_table(_PROJECTIONS)
    if not reports_ and (table := raw.optional_table(_REPORTS)):
        # Only this table says which images a report has.
        return {_REPORTS: [table], _PROJECTIONS: [projections or raw.table(_PROJECTIONS, remedy=_REMEDY)]}
    if not reports_:
        raise raw.missing(f"{raw.path}: no reports; expected {_LAYOUTS}", (_FOLDER, _ARCHIVE, _REPORTS), _REMEDY)
    return {"reports": reports_} | ({} if projections is None else {_PROJECTIONS: [projections]})


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the reports and divide them 80/10/10; each counts as a patient, for patients are not published.

    The text is the impression and the findings. ``XXXX``, the mark of de-identification, is dropped. Images are PNG,
    JPEG or DICOM files in any folders, under the names of Open-i or of the mirror, and come in the order of the
    reports' numbers.
    """
    sources = find_sources(raw)
    views = _read_views(sources[_PROJECTIONS][0]) if _PROJECTIONS in sources else None
    files = _find_images(raw)
    images_there = set(files.values())
    filters = FilterLog("reports", units=("images",))
    samples: list[Sample] = []
    rejected: list[Rejected] = []
    words = ReportWords(options.words)
    seen: set[str] = set()
    seen_images: set[str] = set()
    for name, parse in tracked(_read_reports(sources), "reports"):
        filters.keep("reports")
        try:
            study, images, text = parse()
        except ValueError as error:
            filters.keep("report readable", False)
            rejected.append(Rejected(name, name, True, f"{name}: {error}"))
            continue
        if study in seen:
            raise UserError(f"{raw.path}: {name} has the number of another report; remove one of them")
        if not seen_images.isdisjoint(images):
            raise UserError(f"{raw.path}: {name} has an image of another report; remove one of them")
        seen.add(study)
        seen_images.update(images)
        filters.keep("report readable")
        if not filters.keep("has images", bool(images)):
            continue
        report = words.clean(text, study)
        if not passes_text_filters(report.sentences, filters):
            rejected.append(Rejected(study, name, False, report.fault))
            continue
        for image in images:
            filters.keep("images")
            view = None if views is None else views.get(_name_of_mirror(image))
            if not filters.keep("view frontal or not marked", view != "Lateral"):
                continue
            samples.append(
                Sample(
                    image_id=image,
                    patient_id=study,
                    study_id=study,
                    view=view,
                    report=report.sentences,
                    image_path=files.get(_name_of_mirror(image), f"{_IMAGE_FOLDERS[0]}/{image}.png"),
                )
            )
    if samples and not (options.annotations_only or any(sample.image_path in images_there for sample in samples)):
        raise raw.missing(f"{raw.path}: no image of a report", (), f"Expected PNG, JPEG or DICOM files. {_REMEDY}")
    split_of = divide(list(dict.fromkeys(sample.study_id for sample in samples)), 0.2, 0.5, raw.path)
    samples = [replace(sample, splits=(split_of[sample.study_id],)) for sample in samples]
    notes = ["patients are not published: the split is by report"]
    if views is None:
        notes.append(f"views are not marked: laterals are among the images; {_PROJECTIONS} of a mirror would drop them")
    return Collection(samples, filters, rejected=rejected, notes=notes, words=words)


def _number(path: Path) -> tuple[int, str]:
    """Reports are named by numbers; others come last."""
    return (int(path.stem) if path.stem.isascii() and path.stem.isdigit() else 1 << 62, path.name)


def _find_images(raw: RawFolder) -> dict[str, str]:
    """Path of each image file, relative to the raw folder, by its name in the mirror.

    One that is there several times is taken in the first of the known folders, then in the first format.
    """
    ranked = []
    for path in walk_files(raw):
        folder, ending = str(PurePosixPath(path).parent), PurePosixPath(path).suffix.lower()
        if ending in _ENDINGS:
            known = _IMAGE_FOLDERS.index(folder) if folder in _IMAGE_FOLDERS else len(_IMAGE_FOLDERS)
            ranked.append((known, _ENDINGS.index(ending), path))
    return {_name_of_mirror(PurePosixPath(path).name): path for _, _, path in sorted(ranked, reverse=True)}


def _name_of_mirror(name: str) -> str:
    """What an image is called by the mirror, which has ``207_IM-0703-1001.dcm.png``, without the endings."""
    return _NAME_OF_MIRROR.search(re.sub(r"(\.dcm)?(\.png|\.jpe?g)?$", "", name, count=1, flags=re.IGNORECASE))[0]


def _read_reports(sources: dict[str, list[Path]]) -> Iterator[tuple[str, Callable[[], Report]]]:
    """Name of each report, and a function that parses it."""
    if _REPORTS not in sources:
        for name, data in _read_xml(sources["reports"]):
            yield name, functools.partial(_parse_report, data)
        return
    images_of: dict[str, list[str]] = {}
    for row in read_table(sources[_PROJECTIONS][0], ("uid", "filename")):
        images_of.setdefault(row.identifier("uid"), []).append(_name_of_mirror(row.file_name("filename")))
    for row in read_table(sources[_REPORTS][0], ("uid", "findings", "impression")):
        yield f"{row.table.name}, line {row.line}", functools.partial(_parse_row, row, images_of)


def _read_xml(paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each report, at most one byte more than a report can have."""
    if paths[0].name != _ARCHIVE:
        for path in paths:
            with open(path, "rb") as file:
                yield path.name, file.read(_MAX_BYTES + 1)
        return
    try:
        members = list(_read_archive(paths[0]))
    # ValueError: numbers in a header that are none.
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise UserError(f"{paths[0]}: the archive is truncated or damaged; copy it again") from error
    yield from sorted(members, key=lambda member: _number(Path(member[0])))


def _read_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of the reports in an archive, in its order.

    Header by header: ``tarfile`` would hold all members, and names and comments of any length in headers of their own,
    which reports do not need. Memory stays within what is read, and that within what the file may take.
    """
    left = allowed_bytes(path)
    with gzip.open(path) as file:

        def read(size: int) -> bytes:
            nonlocal left
            data = file.read(size)
            left -= len(data)
            if left < 0:
                raise UserError(f"{path}: refused, it unpacks to over 10 times its size and 100 MiB\nUnpack it: tar")
            return data

        while any(header := read(tarfile.BLOCKSIZE)):  # An empty one ends the archive.
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            if member.size < 0:
                raise tarfile.HeaderError("a negative size")
            is_report = member.isfile() and not member.issparse() and _REPORT_FILE.search(member.name) is not None
            content = read(min(member.size, _MAX_BYTES + 1)) if is_report else b""
            rest = member.size + -member.size % tarfile.BLOCKSIZE - len(content)
            while rest > 0 and (block := read(min(rest, _BLOCK))):
                rest -= len(block)
            if rest > 0:
                raise EOFError
            if is_report:
                yield Path(member.name).name, content
        while read(_BLOCK):  # To the end, where the checksum is.
            pass


def _parse_row(row: Row, images_of: dict[str, list[str]]) -> Report:
    """As :func:`_parse_report`, of a row of the mirror; ``ValueError`` where the text is none."""
    number = row.identifier("uid")
    texts = {label: decode_report(row.get(label.lower(), "").encode("utf-8", "surrogateescape")) for label in _SECTIONS}
    return f"CXR{number}", images_of.get(number, []), _DEIDENTIFIED.sub(" ", label_sections(texts))


def _parse_report(data: bytes) -> Report:
    """Number, names of the images and text of a report, a line a section, without the marks of de-identification.

    Raises:
        ValueError: It is not such a file; the message does not quote it.
    """
    # The reports have no document type; one that has could make the parser write entities without end. In UTF-16, the
    # one encoding of XML that is not made of ASCII, it would not be found.
    if len(data) > _MAX_BYTES or b"<!DOCTYPE" in data or b"<!ENTITY" in data or b"\0" in data:
        raise ValueError("not a report of Open-i (huge, in UTF-16, or with a document type)")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError("not valid XML; copy it again") from error
    number = root.find("uId")
    if number is None or not (number.get("id") or "").isalnum():
        raise ValueError("not a report of Open-i (no uId)")
    images = list(dict.fromkeys(image.get("id") or "" for image in root.iter("parentImage")))
    if not all(re.fullmatch(r"[\w-]{1,200}", image, re.ASCII) for image in images):
        raise ValueError("the name of an image has other characters than letters, digits, _ and -")
    parts = {part.get("Label"): part for part in root.iter("AbstractText")}
    # Only these: thousands of parts inside each other have a text of each, which takes time by their square.
    texts = {label: "".join(parts[label].itertext()) for label in _SECTIONS if label in parts}
    return number.get("id"), images, _DEIDENTIFIED.sub(" ", label_sections(texts))


def _read_views(table: Path) -> dict[str, str]:
    """View by image, as the mirror calls it."""
    views: dict[str, str] = {}
    for row in read_table(table, ("filename", "projection")):
        name = _name_of_mirror(row.file_name("filename"))
        row.require_new("filename", name, views)
        views[name] = row.choice("projection", _VIEWS)
    return views
