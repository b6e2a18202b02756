"""Gradient checkpointing: the activations of a layer are computed again in the backward pass instead of being kept."""

import contextlib
from collections.abc import Iterator

from transformers.modeling_layers import GradientCheckpointingLayer

from ..errors import InputError, first_line


def enable(model, section: str) -> None:
    """Let a model's layers recompute while they are in training mode. Raises InputError, under `section`, where an architecture cannot."""
    try:
        model.activation_checkpointing_enable()
    except ValueError as e:
        raise InputError(f"{section}.gradient_checkpointing: {first_line(e, 120)}; set it to false") from e


@contextlib.contextmanager
def on(*models) -> Iterator[None]:
    """Within the block the layers of models in evaluation mode recompute, where that is enabled; nothing else of them changes, such as dropout."""
    layers = [layer for model in models for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    layers = [layer for layer in layers if layer.gradient_checkpointing and not layer.training]
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
