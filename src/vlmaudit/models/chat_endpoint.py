"""A server that answers in words, asked as OpenAI's chat completions are asked.

A question is one request without any history: ``{"model": ..., "messages": [{"role": "user",
"content": [picture, prompt]}], "temperature": 0, ...}``. Nothing is known of what answers there but
the address and the model's name; findings name these, without what may be secret in the address.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from PIL.Image import Image

from vlmaudit.data.images import PictureError
from vlmaudit.models.base import Answer, Failed
from vlmaudit.models.lines import key_from_environment
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.manners import Manners
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.models.patience import Patience
from vlmaudit.models.patient_http import PatientClient, UnreadableError
from vlmaudit.models.sent_pictures import prepare
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.records import ModelRecord

CHAT_KEY_VARIABLE: Final = "VLMAUDIT_CHAT_KEY"
LONGEST_ANSWER: Final = 1_000_000
"""Characters of an answer that are kept; what is longer counts as cut off there."""
WITHHELD: Final = "the server's content filter withheld the answer"
"""Why there is no answer where a filter beside the model stepped in: the model said neither yes nor
no, so that this is no refusal of the model's own."""

_PLACE: Final = "/chat/completions"
_SEED: Final = 0
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
        self._settings = {"temperature": 0, "max_tokens": max_new_tokens, "seed": _SEED}
        self._max_new_tokens = max_new_tokens
        self._patience = patience or Patience()
        url = completions_url(spec.url)
        manners = Manners(key_variable=CHAT_KEY_VARIABLE, absent=_ABSENT, explain=self._explain)
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
        for prompt in prompts:
            message = {"role": "user", "content": _content(picture, prompt)}
            body = {"model": self._spec.name, "messages": [message], **self._settings}
            yield self._client.ask(body, read_answer)

    def stop(self) -> None:
        """End all waits and all requests under way, from any thread and for good."""
        self._client.stop()

    def close(self) -> None:
        """Stop, and let go of everything; may be called again."""
        self._client.close()

    def _explain(self, status: int, refusal: object) -> str:
        """A refusal in words of ours; what the server wrote may hold anything.

        Raises:
            ModelError: The model does not take what every question says.
        """
        match refusal:
            case {
                "error": {"code": "unsupported_parameter" | "unsupported_value", "param": str(name)}
            } if name in self._settings:
                raise self._spec.error(
                    f'the model does not take "{name}" of {self._settings[name]}, which every '
                    f"question carries (status {status}); name a model that does."
                )
            # The first is how Azure says it, the second OpenAI, the third OpenRouter (with 403).
            case {"error": {"code": "content_filter" | "content_policy_violation"}} | {
                "error": {"metadata": {"flagged_input": _}}
            }:
                return WITHHELD
            case {"error": {"code": "context_length_exceeded"}}:
                return "picture and prompt are longer than the model can read"
        return ""


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


def read_answer(response: object) -> Answer | Failed:
    """What a server's answer says: its first choice.

    A refusal in words of the model's own is an answer, also where it comes in a field of its own.
    An empty text is an answer, too; no text at all is none.

    >>> message = {"role": "assistant", "content": "A cat."}
    >>> read_answer({"choices": [{"message": message, "finish_reason": "stop"}]}).text
    'A cat.'

    Raises:
        UnreadableError: It is no chat completion; the message is the recorded reason.
    """
    choice: dict[str, object]
    match response:
        case {"choices": [dict(choice), *_]}:
            pass
        case {"choices": []}:
            raise UnreadableError("an empty list of choices")
        case {"error": _}:
            raise UnreadableError("an error in place of an answer")
        case _:
            raise UnreadableError("the answer is no chat completion")
    ending = choice.get("finish_reason")
    # Some servers add the filter's name.
    if isinstance(ending, str) and ending.startswith("content_filter"):
        return Failed(WITHHELD, is_transient=False)
    if ending == "error":
        raise UnreadableError("an answer that ended in an error")
    message = choice.get("message")
    if not isinstance(message, dict):
        raise UnreadableError("the answer is no chat completion")
    text = _text(message)
    if text is None:
        # Asked greedily, it would not say more the next time.
        return Failed("an answer without text", is_transient=False)
    return Answer(
        _storable(text[:LONGEST_ANSWER]),
        # Servers have many words for an end that the model chose, and these for one it did not.
        "length" if ending in ("length", "max_tokens") or len(text) > LONGEST_ANSWER else "stop",
        tokens=_count(response, "completion_tokens"),
        prompt_tokens=_count(response, "prompt_tokens"),
    )


def _content(picture: str | None, prompt: str) -> str | list[dict[str, Any]]:
    """What a user shows and says: the picture comes first, as in most models' templates."""
    if picture is None:
        return prompt
    return [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        {"type": "text", "text": prompt},
    ]


def _text(message: Mapping[str, object]) -> str | None:
    """All that a message says to its reader; None where it holds no text, not even an empty one."""
    texts: list[str] = []
    match message.get("content"):
        case None:
            pass
        case str(text):
            texts.append(text)
        case []:
            texts.append("")
        case [*parts]:
            texts.extend(said for part in parts if (said := _text_of_part(part)) is not None)
        case _:
            raise UnreadableError("a content that is no text")
    words = "".join(texts)
    match message.get("refusal"):
        case str(refusal) if refusal:
            return f"{words}\n{refusal}" if words else refusal
        case _:
            return words if texts else None


def _text_of_part(part: object) -> str | None:
    """What one part of a content says; reasoning and calls of tools are not said to anyone."""
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return text
        case _:
            return None


def _storable(text: str) -> str:
    r"""A text without halves of letters, which JSON may hold and UTF-8 may not.

    >>> _storable("a\ud83d b")
    'a\ufffd b'
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count(response: object, what: str) -> int | None:
    match response:
        # True is an int to Python, and no column holds what has a hundred digits.
        case {"usage": {**usage}} if type(count := usage.get(what)) is int and 0 <= count < 2**31:
            return count
        case _:
            return None
