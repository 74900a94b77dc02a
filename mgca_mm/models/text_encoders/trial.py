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
            "Take an encoder of text that returns its attention (BERT, RoBERTa, T5, GPT-2 and their kind), its own "
            "config.json, and a model.text_encoder.max_length of at most the positions that it has."
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
    """
    report = made_report(model, length)
    other = report - (torch.arange(length) > 0).long()
    states = [model(input_ids=ids).last_hidden_state[:, 0] for ids in (report, other)]
    # Both have the same shapes, hence the same rounding; what is below it cannot tell reports apart.
    return bool((states[0] - states[1]).abs().max() <= 1e-6 * states[0].abs().max())
