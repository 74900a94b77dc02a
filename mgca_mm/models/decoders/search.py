"""Search for a likely sequence of pieces."""

from collections.abc import Callable

import torch
from torch import Tensor


def beam_search(
    log_probabilities: Callable[[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]],
    written: list[Tensor],
    start: Tensor,
    end: Tensor,
    num_beams: int,
    max_length: int,
) -> Tensor:
    """Most likely sequences as far as a beam of the ``num_beams`` best prefixes finds them; one beam is greedy search.

    A sequence's score is the sum of its log-probabilities; a finished one stays in its beam at its score.

    Args:
        log_probabilities: Maps the last piece of each beam (B, beams) and what is kept of those before it to the
            log-probabilities (B, beams, V) of the next one, and to what is kept, that piece included.
        written: What is kept before the first piece: tensors (B, 1, …), for there is one beam.
        start: (B,) first piece.
        end: (B,) piece that ends a sequence.
        num_beams: Prefixes to keep of each sample.
        max_length: Longest sequence, with first piece and end.

    Returns:
        (B, t) the best sequence of each sample, t ≤ ``max_length``, filled up with its end.
    """
    samples = torch.arange(len(start), device=start.device)[:, None]
    sequences = start[:, None, None]  # (B, beams, t), in the beginning one beam
    scores = torch.zeros(len(start), 1, device=start.device)
    finished = torch.zeros_like(scores, dtype=torch.bool)
    for _ in range(max_length - 1):
        steps, written = log_probabilities(sequences[:, :, -1], written)  # (B, beams, V)
        is_end = torch.arange(steps.shape[2], device=start.device) == end[:, None, None]
        # What is finished goes on with nothing but its end, at no cost.
        steps = torch.where(finished[:, :, None], torch.where(is_end, 0.0, -torch.inf), steps)
        totals = (scores[:, :, None] + steps).flatten(1)
        scores, index = totals.topk(min(num_beams, totals.shape[1]), dim=1)  # (B, beams)
        beam, piece = index // steps.shape[2], index % steps.shape[2]
        sequences = torch.cat([sequences[samples, beam], piece[:, :, None]], dim=2)
        written = [kept[samples, beam] for kept in written]
        finished = piece == end[:, None]
        if finished.all():
            break
    return sequences[:, 0]
