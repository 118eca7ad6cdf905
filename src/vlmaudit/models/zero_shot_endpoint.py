"""A black box behind an address: zero-shot image classification, as inference servers offer it.

Asked with ``{"inputs": PICTURE, "parameters": {"candidate_labels": [...], ...}}``, a server answers
with a list of ``{"label": ..., "score": ...}``. Nothing is known of what answers there but the
address; findings name that, without what may be secret in it.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

from PIL import Image

from vlmaudit.data.images import PictureError
from vlmaudit.models.base import Choice, Failed
from vlmaudit.models.lines import key_from_environment
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.patience import Patience
from vlmaudit.models.patient_http import PatientClient, UnreadableError
from vlmaudit.models.sent_pictures import prepare
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.records import ModelRecord


class ZeroShotEndpoint:
    """Asks a server which label fits a picture best; one request a question."""

    def __init__(
        self, spec: ModelSpec, *, key: str | None = None, patience: Patience | None = None
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            spec: Of the scheme ``endpoint``.
            key: Sent as bearer token.
            patience: How hard to ask and how long to wait; None for the defaults.

        Raises:
            ModelError: The address cannot be used, or the key would travel in clear.
        """
        self._patience = patience or Patience()
        self._client = PatientClient(spec.url, refuse=spec.error, key=key, patience=self._patience)
        parts = urlsplit(spec.url)
        address = (parts.scheme, parts.netloc, parts.path, parts.query)
        self._record = ModelRecord(
            name=spec.public_name,
            family=spec.scheme,
            weights=fingerprint(address),
            dtype="unknown",
        )

    @property
    def record(self) -> ModelRecord:
        """The address without what may be secret; `weights` is a digest of all of it."""
        return self._record

    @property
    def concurrency(self) -> int:
        """How many pictures may be asked about at the same time, each from its own thread."""
        return self._patience.concurrency

    def classify(
        self, image: Image.Image, questions: Sequence[Sequence[str]]
    ) -> Iterator[Choice | Failed]:
        """One outcome a question, in order, each as soon as it is there.

        Args:
            image: The picture, sent as `SENT_AS` says.
            questions: For each question the labels to choose from, as whole sentences.

        Raises:
            ModelError: Asking on makes no sense: the address or the key is wrong.
            ValueError: A question offers fewer than two labels.
        """
        offers = [tuple(dict.fromkeys(labels)) for labels in questions]
        if any(len(labels) < 2 for labels in offers):
            raise ValueError("a question needs two labels to choose from")
        return self._outcomes(image, offers)

    def stop(self) -> None:
        """End all waits and all requests under way, from any thread and for good."""
        self._client.stop()

    def close(self) -> None:
        """Stop, and let go of everything; may be called again."""
        self._client.close()

    def _outcomes(
        self, image: Image.Image, offers: Sequence[tuple[str, ...]]
    ) -> Iterator[Choice | Failed]:
        if not offers:
            return
        try:
            picture = prepare(image)
        except PictureError as problem:
            yield from [Failed(str(problem), is_transient=False)] * len(offers)
            return
        for labels in offers:
            body = {
                "inputs": picture.base64_png,
                # The labels are whole sentences; without a template, servers wrap them in theirs.
                "parameters": {"candidate_labels": labels, "hypothesis_template": "{}"},
            }
            read = partial(read_choice, labels=labels, picture=picture.digest)
            yield self._client.ask(body, read)


def load(spec: ModelSpec, *, patience: Patience | None) -> ZeroShotEndpoint:
    """Prepare to ask an endpoint, with the key in the environment if there is one.

    Raises:
        ModelError: The address or the key cannot be used.
    """
    return ZeroShotEndpoint(spec, key=key_from_environment(spec.error), patience=patience)


def read_choice(answer: object, labels: Sequence[str], picture: bytes) -> Choice:
    """The choice in a server's answer.

    Labels that share the first place are drawn from by a hash of label and picture. The first
    offered would favour a name by its place in the pool, picture after picture; this favours none,
    and is the same in every run.

    Args:
        answer: Parsed JSON: a list of labels with scores in any order, perhaps of the best few
            only, perhaps within another list of one.
        labels: The offered labels.
        picture: The digest of the picture's pixels.

    >>> read_choice([{"label": "a", "score": 0.25}, {"label": "b", "score": 0.75}], ["a", "b"], b"")
    Choice(label='b', score=0.75, margin=0.5)

    Raises:
        UnreadableError: It is anything else; the message is the recorded reason.
    """
    scores = _read_scores(answer, set(labels))
    best = max(scores.values())
    tied = [label for label, score in scores.items() if score == best]
    chosen = max(tied, key=lambda label: _lot(label, picture))
    others = [score for label, score in scores.items() if label != chosen]
    return Choice(chosen, best, best - max(others) if others else None)


def _read_scores(answer: object, offered: set[str]) -> dict[str, float]:
    match answer:
        case [[*rows]] | [*rows] if rows:
            pass
        case [] | [[]]:
            raise UnreadableError("an empty list of labels")
        case _:
            raise UnreadableError("the answer is no list of labels and scores")
    scores: dict[str, float] = {}
    for row in rows:
        match row:
            case {"label": str(label), "score": score}:
                pass
            case _:
                raise UnreadableError("the answer is no list of labels and scores")
        if label not in offered:
            raise UnreadableError("a label that was not offered")
        if label in scores:
            raise UnreadableError("the same label twice")
        scores[label] = _number(score)
    return scores


def _number(score: object) -> float:
    # True is an int to Python, and "NaN" is how some servers spell what JSON has no word for.
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise UnreadableError("a score that is not a number")
    try:
        number = float(score)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UnreadableError("a score that is not finite")
    return number


def _lot(label: str, picture: bytes) -> bytes:
    return hashlib.blake2b(picture + label.encode("utf-8", "surrogatepass")).digest()
