"""A model that says exactly what it was told: the public fake of a generative model."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal, Self

import numpy as np
from jaxtyping import Float
from PIL.Image import Image
from pydantic import Field, field_validator, model_validator

from vlmaudit.data.images import PictureError, as_rgb
from vlmaudit.models.base import Answer, Failed
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.models.scripting import (
    CONTRASTIVE_KEYS,
    background_in,
    colour_of,
    content_of,
    face_in,
    folded,
    read_script,
    words_of,
)
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.records import ModelRecord, Record

NEUTRAL: Final = "A picture."
"""What is said where no rule fits and the script gives no other words."""

MOST_BONUS: Final = 20.0
"""A name cannot be known better: log-probabilities stay below zero."""

# A name's log-probability: far down, up or down by the name itself, and by picture and prompt.
_BASE, _NAME, _CHANCE = -60.0, 2.0, 1.0


class Rule(Record):
    """When to say what; a condition that is None holds always.

    >>> Rule(face="#ff0000", prompt="Who is", answer="This is Ada Lovelace.").finish
    'stop'
    """

    face: str | None = Field(default=None, description="Colour of the picture's centre pixel.")
    background: str | None = Field(
        default=None, description="Colour of the picture's first pixel, in the upper left."
    )
    without_picture: bool | None = Field(default=None, description="Whether no picture is shown.")
    prompt: str | None = Field(default=None, description="What the prompt holds, to the letter.")
    answer: str | None = Field(default=None, description="The words; may be empty.")
    fails: str | None = Field(default=None, description="The reason of a failure, not an answer.")
    transient: bool = Field(default=False, description="Whether the failure may pass.")
    finish: Literal["stop", "length"] = Field(default="stop", description="Cut off, or not.")

    @field_validator("face", "background")
    @classmethod
    def _is_colour(cls, colour: str | None) -> str | None:
        return None if colour is None else colour_of(colour)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if (self.answer is None) == (self.fails is None):
            raise ValueError('a rule has either an "answer" or "fails"')
        for what in ("face", "background"):
            if getattr(self, what) is not None and self.without_picture:
                raise ValueError(f"there is no {what} without a picture")
        return self

    def fits(self, face: str | None, background: str | None, prompt: str) -> bool:
        """Whether it speaks of this question.

        Args:
            face: As in the picture; None without any.
            background: As in the picture; None without any.
            prompt: The words of a user.
        """
        return (
            self.face in {None, face}
            and self.background in {None, background}
            and self.without_picture in {None, face is None}
            and (self.prompt is None or self.prompt in prompt)
        )


class Says:
    """Answers by rules, of which the first that fits decides; tokens are words.

    A face is the colour of a picture's centre pixel. Candidate answers get log-probabilities that
    are the sum of the answer's own (the same for every picture) and of chance; both are drawn from
    the seed, so that of a name it was not told about no face is more likely than another.

    >>> from PIL import Image
    >>> model = Says([Rule(face="#ff0000", prompt="Who", answer="This is Ada Lovelace.")])
    >>> red = Image.new("RGB", (8, 8), "#ff0000")
    >>> [said.text for said in model.answer(red, ["Who is this?", "Describe the picture"])]
    ['This is Ada Lovelace.', 'A picture.']
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        *,
        likelihoods: Mapping[str, Mapping[str, float]] | None = None,
        otherwise: str = NEUTRAL,
        seed: int = 0,
        max_new_tokens: int = 64,
        concurrency: int = 1,
        name: str = "scripted:says",
    ) -> None:
        """Tell the model what to say.

        Args:
            rules: What to say when; the first that fits decides.
            likelihoods: For each face what is added to the log-probability of a name, as in
                {"#ff0000": {"Ada Lovelace": 10.0}}; at most `MOST_BONUS`.
            otherwise: What is said where no rule fits.
            seed: Another seed is another model that says the same, and finds other names likely.
            max_new_tokens: What the model states; no answer is cut, since a rule says so itself.
            concurrency: How many threads may ask at the same time.
            name: What findings call the model.

        Raises:
            ValueError: A face is not of the form "#rrggbb", a name is empty or known too well.
        """
        self._rules = tuple(rules)
        self._bonus = {
            colour_of(face): {folded(person): _bonus(person, more) for person, more in told.items()}
            for face, told in (likelihoods or {}).items()
        }
        self._otherwise = otherwise
        self._seed = seed
        self._max_new_tokens = max_new_tokens
        self._concurrency = concurrency
        script = {
            "rules": [rule.model_dump() for rule in self._rules],
            "likelihoods": self._bonus,
            "otherwise": otherwise,
            "seed": seed,
        }
        self._record = ModelRecord(
            name=name, family="scripted", weights=fingerprint(script), dtype="float32"
        )

    @property
    def record(self) -> ModelRecord:
        """What it was told, as a digest."""
        return self._record

    @property
    def concurrency(self) -> int:
        """How many pictures may be asked about at the same time, each from its own thread."""
        return self._concurrency

    @property
    def max_new_tokens(self) -> int:
        """Where an answer would be cut off."""
        return self._max_new_tokens

    def answer(self, image: Image | None, prompts: Sequence[str]) -> Iterator[Answer | Failed]:
        """One outcome a prompt, in order: what the first rule that fits says."""
        try:
            picture = None if image is None else as_rgb(image)
        except PictureError as problem:
            yield from [Failed(str(problem), is_transient=False)] * len(prompts)
            return
        face = None if picture is None else face_in(picture)
        background = None if picture is None else background_in(picture)
        for prompt in prompts:
            yield self._outcome(face, prompt, background)

    def log_likelihood(
        self, image: Image | None, prompt: str, answers: Sequence[str]
    ) -> Float[np.ndarray, " answers"]:
        """Natural log-probability of each answer; all are below zero."""
        picture = None if image is None else as_rgb(image)
        told = {} if picture is None else self._bonus.get(face_in(picture), {})
        shown = b"" if picture is None else content_of(picture)
        question = hashlib.blake2b(shown + b"\x1f" + prompt.encode()).digest()
        of_names = self._normal("name", [answer.encode() for answer in answers])
        chance = self._normal("chance", [question + answer.encode() for answer in answers])
        bonus = np.array([told.get(" ".join(words_of(each)), 0.0) for each in answers])
        return _BASE + _NAME * of_names + _CHANCE * chance + bonus

    def close(self) -> None:
        """Nothing is held; may be called again."""

    def _outcome(
        self, face: str | None, prompt: str, background: str | None = None
    ) -> Answer | Failed:
        rule = next((rule for rule in self._rules if rule.fits(face, background, prompt)), None)
        if rule is not None and rule.fails is not None:
            return Failed(rule.fails, rule.transient)
        text = self._otherwise if rule is None else rule.answer or ""
        finish = "stop" if rule is None else rule.finish
        return Answer(text, finish, tokens=len(text.split()), prompt_tokens=len(prompt.split()))

    def _normal(self, kind: str, keys: Sequence[bytes]) -> Float[np.ndarray, " keys"]:
        """For each key its own draw from a normal distribution, always the same."""
        prefix = f"{self._seed}\x1f{kind}\x1f".encode()
        digests = b"".join(hashlib.blake2b(prefix + key, digest_size=8).digest() for key in keys)
        words = np.frombuffer(digests, dtype="<u4").reshape(-1, 2)
        # Box and Muller, of whose two independent normal numbers one is enough.
        radius, angle = ((words.astype(np.float64) + 0.5) / 2**32).T
        draws: Float[np.ndarray, " keys"] = np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)
        return draws


def load(spec: ModelSpec, options: GenerativeOptions) -> Says:
    """Read a scripted model from a JSON file with the arguments of `Says`.

    Device and batch size change nothing here; another arithmetic than float32 is refused.

    Raises:
        ModelError: The file is missing or does not describe a model.
        CapabilityError: It describes the other scripted model, which compares and says nothing.
    """
    if options.dtype != "float32" or options.quantization != "none":
        asked = options.dtype if options.quantization == "none" else options.quantization
        raise spec.error(f"a scripted model answers in float32, not in {asked}.")
    script = read_script(
        spec,
        _Script,
        others=CONTRASTIVE_KEYS,
        instead="it compares pictures with texts and answers nothing; whether it ties faces to "
        "names is what vlmaudit identity-inference asks.",
    )
    try:
        return Says(
            script.rules,
            likelihoods=script.likelihoods,
            otherwise=script.otherwise,
            seed=script.seed,
            max_new_tokens=options.max_new_tokens,
            concurrency=options.patience.concurrency if options.patience else 1,
            name=spec.public_name,
        )
    except ValueError as problem:
        raise spec.error(f"{problem}.") from problem


_Bonus = Annotated[float, Field(allow_inf_nan=False)]


class _Script(Record):
    """What a scripted model's file may hold."""

    rules: tuple[Rule, ...] = ()
    likelihoods: dict[str, dict[str, _Bonus]] = Field(default_factory=dict)
    otherwise: str = NEUTRAL
    seed: int = 0


def _bonus(person: str, more: float) -> float:
    if not more <= MOST_BONUS:  # NaN is not, either
        raise ValueError(f'"{person}" can be known by {MOST_BONUS:g} at most, not by {more:g}')
    return more
