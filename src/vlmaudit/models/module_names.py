"""Which part of a model of transformers a parameter belongs to, and which layers it has."""

from collections.abc import Sequence
from typing import Any, Final

from vlmaudit.models.hf_files import Model
from vlmaudit.models.loading import ModelSpec

VISION: Final = "vision"
PROJECTOR: Final = "projector"
EMBEDDINGS: Final = "embeddings"
"""Embeddings of tokens, the last norm and what turns states into words."""

# By what the families call them; a merger stands inside Qwen-VL's vision part.
_PROJECTORS: Final = frozenset(
    {
        "multi_modal_projector",
        "language_projection",
        "qformer",
        "query_tokens",
        "connector",
        "merger",
        "deepstack_merger_list",
        "modality_projection",
        "image_newline",
    }
)
_VISIONS: Final = frozenset({"vision_tower", "visual", "vision_model", "vision_encoder"})
_LISTS: Final = ("layers", "block", "h")


def layers_of(spec: ModelSpec, model: Model) -> Sequence[Any]:
    """The layers of the language model, first to last.

    Raises:
        ModelError: They cannot be named: the message says what was looked for.
    """
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    for _ in range(3):  # a wrapper or two: OPT's decoder is in a model in a causal model
        if decoder is None:
            break
        for name in _LISTS:
            found = getattr(decoder, name, None)
            if found is not None and len(found):
                return list(found)
        inner = getattr(decoder, "decoder", None) or getattr(decoder, "model", None)
        decoder = None if inner is decoder else inner
    parts = ", ".join(name for name, _ in model.named_children())
    raise spec.error(
        f"the layers of its language model cannot be named: its decoder has no "
        f"{' or '.join(_LISTS)} (it is made of {parts}); give an ordinary decoder such as LLaVA's."
    )


def modules_of(spec: ModelSpec, model: Model) -> dict[str, str]:
    """The part of each parameter that can be trained, by the parameter's name.

    Parts are ``vision``, ``projector``, ``embeddings`` and ``language 1`` to the last layer.

    Raises:
        ModelError: The layers cannot be named.
    """
    owners = {
        id(parameter): f"language {number}"
        for number, layer in enumerate(layers_of(spec, model), start=1)
        for parameter in layer.parameters()
    }
    return {
        name: owners.get(id(parameter)) or _part(name)
        for name, parameter in model.named_parameters()
        if parameter.is_floating_point()
    }


def in_order(parts: Sequence[str]) -> list[str]:
    """The parts, each once, as a picture passes through them."""
    first = {VISION: (0, 0), PROJECTOR: (1, 0), EMBEDDINGS: (2, 0)}
    return sorted(set(parts), key=lambda part: first.get(part) or (3, int(part.split()[-1])))


def _part(name: str) -> str:
    segments = set(name.split("."))
    if segments & _PROJECTORS:
        return PROJECTOR
    return VISION if segments & _VISIONS else EMBEDDINGS
