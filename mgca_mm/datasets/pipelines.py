"""Parts of a config's pipeline."""

from collections.abc import Sequence

_OF_PAIRS = ("SampleSentence", "TokenizeReport", "TokenizeLocation", "EncodeLabels")


def image_steps(pipeline: Sequence[dict], without: Sequence[str] = ()) -> list[dict]:
    """The steps of a pretraining's pipeline that an image without report and labels can go through.

    Args:
        pipeline: Configs of the steps.
        without: Class names of others to leave out.
    """
    return [step for step in pipeline if step["type"].rpartition(".")[2] not in (*_OF_PAIRS, *without)]
