"""Tokenizers trained on reports of other scripts, and the words that the text encoder then sees."""

import pytest

from mgca_mm.datasets.transforms.report import TokenizeReport
from mgca_mm.reports.cleaning import clean_text
from mgca_mm.reports.tokenizer import train_tokenizer

REPORTS = {
    "chinese": "双肺纹理增多，左侧胸腔少量积液。心影增大。PICC 末端位于上腔静脉。",
    "arabic": "القلب طبيعي الحجم. لا يوجد انصباب جنبي. الرئتان صافيتان.",
    "spanish": "Pinzamiento del seno costofrénico izquierdo. Índice cardiotorácico normal.",
    "hindi": "हृदय सामान्य है। फेफड़े साफ हैं।",
}


@pytest.mark.parametrize("language", REPORTS)
@pytest.mark.parametrize("vocab_size", [100, 400])
def test_reports_of_other_scripts(tmp_path, language, vocab_size):
    sentences = clean_text(REPORTS[language], "unicode")
    tokenizer = train_tokenizer(sentences * 5, vocab_size)
    assert len(tokenizer) <= vocab_size
    tokenizer.save_pretrained(tmp_path)
    transform = TokenizeReport(str(tmp_path))
    row = transform.transform({"report": sentences})
    assert tokenizer.unk_token_id not in row["input_ids"]
    words = transform.words({"report": sentences})[:-1]
    assert "".join(words) == "".join(sentences).replace(" ", "")
    assert len(words) == row["attention_mask"].sum() - 2 - row["is_continuation"].sum()
    # Each ideograph is a word.
    assert language != "chinese" or max(map(len, words)) == len("picc")


def test_more_characters_than_the_vocabulary_has():
    characters = [chr(0x4E00 + number) for number in range(500)]
    sentences = ["".join(characters), *["".join(characters[:50])] * 3]
    tokenizer = train_tokenizer(sentences, 100)
    assert len(tokenizer) == 100
    assert tokenizer.unk_token_id not in tokenizer("".join(characters[:50]))["input_ids"]
    assert tokenizer.unk_token_id in tokenizer(characters[-1])["input_ids"]
