"""Which weights of a model are fine-tuned, and by what: all of them, or adapters beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch

from vlmaudit.errors import ModelError
from vlmaudit.lab.finetuning_settings import FineTuning
from vlmaudit.models.hf_files import Model
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.module_names import EMBEDDINGS, PROJECTOR, VISION, modules_of


@dataclass(frozen=True, slots=True, eq=False)
class Tunable:
    """A model whose tuned weights ask for gradients.

    Attributes:
        model: What is called; peft's wrapper where there are adapters.
        trained: The parameters that are tuned, by name.
        parts: The part of the model (`module_names`) that each is in; an adapter, its layer's.
    """

    model: Model
    trained: Mapping[str, torch.nn.Parameter]
    parts: Mapping[str, str]

    def merged(self) -> Model:
        """The model with its adapters in its weights, as an ordinary checkpoint holds it."""
        if hasattr(self.model, "merge_and_unload"):
            return self.model.merge_and_unload()
        return self.model


def tunable(spec: ModelSpec, model: Model, settings: FineTuning) -> Tunable:
    """Let the weights that are tuned ask for gradients, and put adapters where they belong.

    The language model is tuned, the projector and the vision tower where `settings` says so, by
    learning rates of their own.

    Args:
        spec: The model, for errors.
        model: Loaded, and asking for no gradients.
        settings: How it is tuned.

    Raises:
        ModelError: No layer has a name among `settings.targets`, or the layers cannot be named.
    """
    parts = modules_of(spec, model)
    is_whole = settings.method == "full"
    projector_too = is_whole or settings.projector_learning_rate is not None
    wanted = {
        id(model.get_parameter(name))
        for name, part in parts.items()
        if (part == PROJECTOR and projector_too)
        or (is_whole and (part != VISION or settings.vision == "tuned"))
    }
    # Before peft renames them; the parameters themselves stay.
    part_of = {id(model.get_parameter(name)): part for name, part in parts.items()}
    adapted = model if is_whole else _with_adapters(spec, model, parts, settings)
    for parameter in adapted.parameters():
        if id(parameter) in wanted:
            parameter.requires_grad_(True)
    trained = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    return Tunable(
        adapted,
        trained,
        {name: part_of.get(id(p)) or parts[_layer_of(name)] for name, p in trained.items()},
    )


def _layer_of(adapter: str) -> str:
    """The weight that an adapter of peft's stands beside."""
    return adapter.removeprefix("base_model.model.").split(".lora_")[0] + ".weight"


def _with_adapters(
    spec: ModelSpec, model: Model, parts: Mapping[str, str], settings: FineTuning
) -> Model:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as problem:
        raise ModelError(
            "LoRA needs peft; install: pip install 'vlmaudit[finetune]', or give --method full."
        ) from problem
    # The language model's layers, and the vision tower's where it is tuned along.
    left_out = {PROJECTOR, EMBEDDINGS} | ({VISION} if settings.vision == "frozen" else set())
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and parts.get(f"{name}.weight", EMBEDDINGS) not in left_out
    ]
    targets = [
        name for name in linear if not settings.targets or name.split(".")[-1] in settings.targets
    ]
    if not targets:
        known = ", ".join(sorted({name.split(".")[-1] for name in linear}))
        raise spec.error(
            f"no linear layer is called {' or '.join(settings.targets)}; it has {known}."
        )
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
    )
    return get_peft_model(model, config)


def optimizer_of(tuned: Tunable, settings: FineTuning) -> Any:  # noqa: ANN401
    """AdamW over the tuned weights; only matrices decay.

    Each group has its highest learning rate as ``highest``.
    """
    own_rates = {
        PROJECTOR: settings.projector_learning_rate,
        VISION: settings.vision_learning_rate,
    }
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in tuned.trained.items():
        rate = own_rates.get(tuned.parts[name]) or settings.learning_rate
        groups.setdefault((rate, parameter.ndim >= 2), []).append(parameter)
    grouped = [
        {
            "params": members,
            "lr": rate,
            "highest": rate,
            "weight_decay": settings.weight_decay if is_matrix else 0.0,
        }
        for (rate, is_matrix), members in groups.items()
    ]
    return torch.optim.AdamW(grouped, betas=settings.betas, fused=True)


_DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def loading_dtype(settings: FineTuning) -> str:
    """In which arithmetic the weights are loaded: those that are tuned stay in fp32."""
    return "float32" if settings.method == "full" else settings.dtype


def arithmetic(settings: FineTuning, device: torch.device) -> Any:  # noqa: ANN401 - a context
    """The arithmetic of a pass through the model."""
    is_narrow = settings.dtype != "float32"
    return torch.autocast(device.type, dtype=_DTYPES[settings.dtype], enabled=is_narrow)
