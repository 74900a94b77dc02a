"""The reports of a data set: their sentences, and how many of their words stand in sections that are not kept."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from mgca_mm.reports.cleaning import MIN_TOKENS, clean_text, count_tokens, count_words, too_short
from mgca_mm.reports.section_names import kind_of_known
from mgca_mm.reports.sections import NO_HEADER, split_report

# A header can hold a name of a person ("SMITH, JANE:"). One that is not in the table is named if this many patients
# have it, as publishers of counts of patients do; the others are counted together.
_MIN_PATIENTS = 10
_MOST_NAMES = 20
_OTHER_NAMES = "other names"
# Of Open-i's 3,955 reports, written as MIMIC's are, 17 % of the words stand outside (indication, comparison), and in 21
# more than half; of the phantom's, which have a technique, too, 21 %. With their findings under a name that is not
# known, it would be three quarters of Open-i's.
_WARNING_SHARE = 0.5


class CleanReport(NamedTuple):
    """A report as it is trained on.

    Attributes:
        sentences: Cleaned sentences.
        fault: Why there are too few words; None where there are enough.
    """

    sentences: list[str]
    fault: str | None


class ReportWords:
    """Cleans reports and counts their words, those kept and those outside the kept sections by name of the header.

    Args:
        words: Which words are kept, see :func:`mgca_mm.reports.cleaning.clean_text`.
    """

    def __init__(self, words: str) -> None:
        self._words = words
        self._kept = 0
        self._outside: Counter[str] = Counter()
        self._patients: defaultdict[str, set[str]] = defaultdict(set)

    def clean(self, text: str, patient: str, all_of_it: bool = False) -> CleanReport:
        """Clean one report and count its words.

        Args:
            text: The report.
            patient: Whose it is.
            all_of_it: As for :func:`mgca_mm.reports.sections.split_report`.
        """
        kept, outside = split_report(text, all_of_it)
        self._kept += sum(count_words(part.text) for part in kept)
        for part in outside:
            if count := count_words(part.text):
                self._outside[part.name] += count
                if len(self._patients[part.name]) < _MIN_PATIENTS:
                    self._patients[part.name].add(patient)
        sentences = [sentence for part in kept for sentence in clean_text(part.text, self._words)]
        fault = None
        if count_tokens(sentences) < MIN_TOKENS:
            fault = too_short("\n".join(part.text for part in kept), self._words)
        return CleanReport(sentences, fault)

    def summary(self) -> dict:
        """For the manifest: words kept, words outside, and these by name, the most frequent first."""
        by_name: Counter[str] = Counter()
        for name, count in self._outside.items():
            is_named = name == NO_HEADER or kind_of_known(name) or len(self._patients[name]) >= _MIN_PATIENTS
            by_name[name if is_named else _OTHER_NAMES] += count
        rest = by_name.pop(_OTHER_NAMES, 0) + sum(count for _, count in by_name.most_common()[_MOST_NAMES:])
        named = dict(by_name.most_common(_MOST_NAMES)) | ({_OTHER_NAMES: rest} if rest else {})
        return {"kept": self._kept, "outside": self._outside.total(), "outside_by_name": named}


def label_sections(texts: Mapping[str, str]) -> str:
    """A report as MIMIC-CXR writes it, of the texts of its sections by their names: a line ``NAME: text`` each."""
    return "\n".join(f"{name}: {' '.join(text.split())}" for name, text in texts.items())


def describe_words(summary: dict) -> list[str]:
    """One line about the words for the terminal, and a warning where more are left out than kept."""
    kept, outside, by_name = summary["kept"], summary["outside"], summary["outside_by_name"]
    share = outside / max(kept + outside, 1)
    names = ", ".join(f"{name} {count:,}" for name, count in by_name.items())
    lines = [f"words of the reports: {kept:,} kept, {outside:,} ({share:.0%}) outside: {names or 'none'}"]
    if share > _WARNING_SHARE:
        lines.append(
            f"warning: {share:.0%} of the words stand outside of findings and impression; if a name above describes "
            "the image, write it as FINDINGS"
        )
    return lines
