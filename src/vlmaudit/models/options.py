"""How a generative model is loaded and asked."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the HTTP library is for those who ask a server
    from vlmaudit.models.patience import Patience

Quantization = Literal["none", "8bit", "4bit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerativeOptions:
    """What the user may say about a generative model besides which one it is.

    Attributes:
        device: ``cpu``, ``cuda`` (or ``cuda:1``), ``mps``, or ``auto`` for the best there is.
        dtype: Arithmetic inside the model.
        batch_size: Prompts or candidates a batch; None leaves it to the adapter.
        quantization: ``8bit`` and ``4bit`` need bitsandbytes, as the paper's "quantized" runs did.
        trust_remote_code: The revision whose own Python code may run here; None for none.
        max_new_tokens: Where an answer is cut off.
        patience: How hard a server is asked; None for the defaults.
    """

    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int | None = None
    quantization: Quantization = "none"
    trust_remote_code: str | None = None
    max_new_tokens: int = 64
    patience: "Patience | None" = field(default=None)
