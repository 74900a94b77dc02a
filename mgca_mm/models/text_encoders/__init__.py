from .text_encoder import TextEncoder
from .word_merging import ReleasedWordMerging, WordMerging

__all__ = ["ReleasedWordMerging", "TextEncoder", "WordMerging"]
