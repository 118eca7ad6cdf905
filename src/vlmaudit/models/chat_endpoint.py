"""A server that answers in words, asked as OpenAI's chat completions are asked.

A question is one request without any history: ``{"model": ..., "messages": [{"role": "user",
"content": [picture, prompt]}], "temperature": 0, ...}``. Nothing is known of what answers there but
the address and the model's name; findings name these, without what may be secret in the address.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from PIL.Image import Image

from vlmaudit.data.images import PictureError
from vlmaudit.models.base import Answer, Failed
from vlmaudit.models.chat_answers import read_answer, reason_of, unwanted_setting
from vlmaudit.models.lines import key_from_environment
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.manners import Manners
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.models.patience import Patience
from vlmaudit.models.patient_http import PatientClient
from vlmaudit.models.sent_pictures import prepare
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.records import ModelRecord

CHAT_KEY_VARIABLE: Final = "VLMAUDIT_CHAT_KEY"
PICTURES_TRIED: Final = 5
"""So many pictures of which none is taken mean that the model takes none, as text models do."""

_PLACE: Final = "/chat/completions"
_SEED: Final = 0
_SETTINGS: Final = frozenset({"temperature", "max_tokens", "max_completion_tokens", "seed"})
_ABSENT: Final = (
    "there is nothing to ask at this address, or no such model (status {status}); check both."
)


class ChatEndpoint:
    """Asks a server about a picture in words; one request a prompt."""

    def __init__(
        self,
        spec: ModelSpec,
        *,
        max_new_tokens: int,
        key: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            spec: Of the scheme ``chat``.
            max_new_tokens: Where the server is to cut answers off.
            key: Sent as bearer token.
            patience: How hard to ask and how long to wait; None for the defaults.

        Raises:
            ModelError: The address cannot be used, or the key would travel in clear.
        """
        self._spec = spec
        self._max_new_tokens = max_new_tokens
        self._settings: Mapping[str, int] = {
            "temperature": 0,
            "max_tokens": max_new_tokens,
            "seed": _SEED,
        }
        self._pictures = _Reception()
        self._patience = patience or Patience()
        url = completions_url(spec.url)
        manners = Manners(key_variable=CHAT_KEY_VARIABLE, absent=_ABSENT, explain=_explain)
        self._client = PatientClient(
            url, refuse=spec.error, key=key, patience=self._patience, manners=manners
        )
        parts = urlsplit(url)
        who = (spec.name, parts.scheme, parts.netloc, parts.path, parts.query)
        self._record = ModelRecord(
            name=spec.public_name, family=spec.scheme, weights=fingerprint(who), dtype="unknown"
        )

    @property
    def record(self) -> ModelRecord:
        """Model and address without what may be secret; `weights` is a digest of all of it."""
        return self._record

    @property
    def concurrency(self) -> int:
        """How many pictures may be asked about at the same time, each from its own thread."""
        return self._patience.concurrency

    @property
    def max_new_tokens(self) -> int:
        """Where the server is to cut answers off."""
        return self._max_new_tokens

    def answer(self, image: Image | None, prompts: Sequence[str]) -> Iterator[Answer | Failed]:
        """One outcome a prompt, in order, each as soon as it is there.

        Args:
            image: The picture, sent as `sent_pictures.SENT_AS` says; None asks without any.
            prompts: The words of a user.

        Raises:
            ModelError: Asking on makes no sense: the address, the model or the key is wrong.
        """
        if not prompts:
            return
        try:
            picture = None if image is None else prepare(image).base64_png
        except PictureError as problem:
            yield from [Failed(str(problem), is_transient=False)] * len(prompts)
            return
        if picture is not None and (reason := self._pictures.are_refused_for):
            raise self._spec.error(
                f"it refused each of the first {PICTURES_TRIED} pictures ({reason}); check that "
                "this model reads pictures."
            )
        outcomes = []
        for prompt in prompts:
            outcomes.append(self._ask({"role": "user", "content": _content(picture, prompt)}))
            yield outcomes[-1]
        if picture is not None:
            self._pictures.note(outcomes)

    def stop(self) -> None:
        """End all waits and all requests under way, from any thread and for good."""
        self._client.stop()

    def close(self) -> None:
        """Stop, and let go of everything; may be called again."""
        self._client.close()

    def _ask(self, message: Mapping[str, object]) -> Answer | Failed:
        while True:
            settings = self._settings
            body = {"model": self._spec.name, "messages": [message], **settings}
            try:
                return self._client.ask(body, read_answer)
            except _UnwantedError as problem:
                # From what was sent, since another thread may have come to know it, too.
                self._settings = self._without(problem.setting, settings)

    def _without(self, unwanted: str, settings: Mapping[str, int]) -> Mapping[str, int]:
        """Settings that say the same to a server that does not take one of them.

        Raises:
            ModelError: Without that one, answers would not be what an audit asks for.
        """
        rest = {name: value for name, value in settings.items() if name != unwanted}
        if unwanted in settings and unwanted == "seed":  # greedy answers hardly need one
            return rest
        if unwanted in settings and unwanted == "max_tokens":  # newer models call it otherwise
            return rest | {"max_completion_tokens": self._max_new_tokens}
        raise self._spec.error(
            f'the model does not take "{unwanted}" as it must be for answers that are greedy and '
            "end; name a model that does."
        )


class _Reception:
    """How pictures are received: a model that reads none refuses one as the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused = 0
        self._is_welcome = False
        self.are_refused_for = ""

    def note(self, outcomes: Sequence[Answer | Failed]) -> None:
        """Learn what became of all questions about a picture."""
        failures = [each for each in outcomes if isinstance(each, Failed)]
        passing = [each for each in failures if each.is_transient]
        refusals = [each for each in failures if not each.is_transient and _is_bare(each)]
        with self._lock:
            if len(passing) + len(refusals) < len(outcomes):
                self._is_welcome, self.are_refused_for = True, ""
            elif not (self._is_welcome or passing):
                self._refused += 1
                if self._refused >= PICTURES_TRIED:
                    self.are_refused_for = refusals[-1].reason


class _UnwantedError(Exception):
    """The server does not take a setting."""

    def __init__(self, setting: str) -> None:
        super().__init__(setting)
        self.setting = setting


def _explain(_: int, refusal: object) -> str:
    setting = unwanted_setting(refusal)
    if setting in _SETTINGS:
        raise _UnwantedError(setting)
    return reason_of(refusal)


def _is_bare(failure: Failed) -> bool:
    """Whether the server refused and gave no reason that we know of."""
    return failure.reason.startswith("status ")


def load(spec: ModelSpec, options: GenerativeOptions) -> ChatEndpoint:
    """Prepare to ask a chat server, with the key in the environment if there is one.

    Device, arithmetic and batch size are the server's own.

    Raises:
        ModelError: The address or the key cannot be used, or it is asked to load otherwise.
    """
    if options.quantization != "none" or options.trust_remote_code is not None:
        raise spec.error("how the model is loaded is up to its server; leave out how to.")
    return ChatEndpoint(
        spec,
        max_new_tokens=options.max_new_tokens,
        key=key_from_environment(spec.error, CHAT_KEY_VARIABLE),
        patience=options.patience,
    )


def completions_url(url: str) -> str:
    """Where questions go: below a base address, or to the very address if it is the place.

    >>> completions_url("https://models.example/v1")
    'https://models.example/v1/chat/completions'
    >>> completions_url("https://models.example/v1/chat/completions?api-version=3")
    'https://models.example/v1/chat/completions?api-version=3'
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(_PLACE) else path + _PLACE))


def _content(picture: str | None, prompt: str) -> str | list[dict[str, Any]]:
    """What a user shows and says: the picture comes first, as in most models' templates."""
    if picture is None:
        return prompt
    return [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        {"type": "text", "text": prompt},
    ]
