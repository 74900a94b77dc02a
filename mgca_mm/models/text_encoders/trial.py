"""What a text model shows only when it runs: activations, heads, positions, and in which direction its pieces look."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mgca_mm.errors import UserError, first_line


@contextmanager
def trial(model: nn.Module, name: str, length: int) -> Iterator[None]:
    """Run a model in evaluation mode and without gradients.

    Args:
        model: Of transformers.
        name: What an error calls it.
        length: Pieces of the report that it is tried with.

    Raises:
        UserError: It cannot be run in the way that the block does.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    except Exception as error:  # whichever of a hundred values of a config leads to in transformers
        raise UserError(
            f"{name} does not take a report of {length} pieces: {first_line(error)}\n"
            "Check its config.json (or model.text_encoder.config) and model.text_encoder.max_length, or take an "
            "encoder of text that returns its attention: BERT, RoBERTa, T5, GPT-2 and their kind."
        ) from error
    finally:
        model.train(training)


def made_report(model: nn.Module, length: int) -> Tensor:
    """(1, length) of one piece, the last of the vocabulary: a real one, whichever is the padding."""
    return torch.full((1, length), len(model.get_input_embeddings().weight) - 1)


def is_causal(model: nn.Module, length: int) -> bool:
    """Whether a piece sees only those before it (GPT-2, LLaMA, the text model of CLIP), by a :func:`trial`.

    Then the state of the first piece does not change with the others. The name of a model does not tell: a BERT can be
    configured so.

    Raises:
        ValueError: What it returns as its attention is something else, such as logits (SqueezeBERT, ProphetNet).
    """
    report = made_report(model, length)
    # From all over the vocabulary: neighbors in it can be equal, such as rows of zeros or of the mean at its end.
    other = torch.linspace(0, int(report[0, 0]), length).long()[None]
    other[:, 0] = report[:, 0]
    outputs = [model(input_ids=ids, output_attentions=True) for ids in (report, other)]
    attention = outputs[1].attentions[-1]
    if (attention < 0).any() or (attention.sum(dim=-1) > 1 + 1e-3).any():
        raise ValueError("it returns no attention probabilities")
    states = [output.last_hidden_state[:, 0] for output in outputs]
    # Both have the same shapes, hence the same rounding; what is below it cannot tell reports apart.
    return bool((states[0] - states[1]).abs().max() <= 1e-6 * states[0].abs().max())
