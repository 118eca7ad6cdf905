"""What an album shall be: arms, doses, variants, and how records are printed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

from vlmaudit.data.albums import VariantKind
from vlmaudit.data.private_records import PAPER_FIELDS, Field, check_fields
from vlmaudit.errors import InputError, did_you_mean

_NAME: Final = re.compile(r"(tied-)?r(\d{1,3})(?:-(twin|spoken))?")
_MOST_DOSE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Variant:
    """One training set: ``r50``, ``r50-twin``, ``r50-spoken`` or ``tied-r25``.

    Attributes:
        name: As it was given, and the folder's name.
        percent: How many of a hundred examples carry a record of the arms.
        kind: What is printed, and what the answers say.
    """

    name: str
    percent: int
    kind: VariantKind

    @property
    def rate(self) -> float:
        """The share of examples that carry a record of the arms."""
        return self.percent / 100

    @property
    def twin_of(self) -> str | None:
        """The variant whose pictures and places this one has, with the unseen records."""
        return f"r{self.percent}" if self.kind == "twin" else None


def parse_variants(text: str) -> tuple[Variant, ...]:
    """What ``--variants`` lists.

    >>> [(one.name, one.kind) for one in parse_variants("r0,r50-twin,r50,tied-r25")]
    [('r0', 'plain'), ('r50-twin', 'twin'), ('r50', 'plain'), ('tied-r25', 'tied')]

    Raises:
        InputError: There is no such variant, one is there twice, or a twin is alone.
    """
    variants = tuple(_variant(part.strip()) for part in text.split(","))
    names = [one.name for one in variants]
    for one in variants:
        if names.count(one.name) > 1:
            raise InputError(f"--variants {text}: {one.name} is there twice.")
        if one.twin_of is not None and one.twin_of not in names:
            raise InputError(
                f"--variants {text}: {one.name} is the twin of {one.twin_of}, which is not among "
                "them; add it."
            )
    return variants


def _variant(name: str) -> Variant:
    match = _NAME.fullmatch(name)
    if match is None:
        hint = did_you_mean(name, ["r50", "r50-twin", "r50-spoken", "tied-r25"])
        raise InputError(
            f'--variants: no variant "{name}"; wanted such as r0, r50, r50-twin, r50-spoken or '
            f"tied-r25.{hint}"
        )
    tied, digits, ending = match.groups()
    percent = int(digits)
    kind = cast("VariantKind", "tied" if tied else ending or "plain")
    canonical = f"{'tied-' if tied else ''}r{percent}{f'-{ending}' if ending else ''}"
    if canonical != name or percent > 100 or (tied and ending) or (not percent and kind != "plain"):
        raise InputError(
            f'--variants: no variant "{name}": rates are from r0 to r100, and something must be '
            "printed that is spoken, tied or has a twin; a tied one has none."
        )
    return Variant(name, percent, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumDesign:
    """Everything that decides an album, but for the pictures themselves.

    Attributes:
        questions: The question-answering set: a file, or ``easy-vqa``.
        images: The folder of its pictures; beside the file if None.
        variants: The training sets.
        seen: Records that are printed in training pictures.
        unseen: Records that are not, but for the twins.
        control: Records that no training set ever holds.
        canaries: Records of which each is in with probability one half.
        doses: Dealt to seen records at random; relative to each other, so that rates are met.
        exact_doses: Doses are times printed; other made-up records fill the rate up.
        fields: What a record is made of.
        protocol: How records are printed.
        place: Where on a picture.
        input_side: Pixels of the side to which the models scale pictures.
        letter_height: The letters' size over the picture's longer side; None: the largest up to
            1/28 at which all fit.
        held_out: Pictures that are not trained on.
        examples: Training examples; None: one a picture.
        read_back: Printed pictures that a text reader is shown.
        seed: Everything random follows from it.
    """

    questions: str
    images: Path | None = None
    variants: tuple[Variant, ...] = field(
        default_factory=lambda: parse_variants("r0,r50,r100,r50-twin")
    )
    seen: int = 100
    unseen: int = 100
    control: int = 100
    canaries: int = 0
    doses: tuple[int, ...] = (1, 2, 4, 8)
    exact_doses: bool = False
    fields: tuple[Field, ...] = PAPER_FIELDS
    protocol: Literal["audit", "paper"] = "audit"
    place: Literal["random", "fixed"] = "random"
    input_side: int = 336
    letter_height: float | None = None
    held_out: int = 200
    examples: int | None = None
    read_back: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be planted.

        Raises:
            InputError: It cannot.
        """
        for option, number, least in (
            ("seen", self.seen, 1),
            ("unseen", self.unseen, 1),
            ("control", self.control, 0),
            ("canaries", self.canaries, 0),
            ("held-out", self.held_out, 1),
            ("input-side", self.input_side, 8),
            ("read-back", self.read_back, 0),
            ("examples", 1 if self.examples is None else self.examples, 1),
        ):
            if number < least:
                raise InputError(f"--{option} {number}: wanted {least} or more.")
        if not self.doses or min(self.doses) < 1 or max(self.doses) > _MOST_DOSE:
            raise InputError(f"--doses {_listed(self.doses)}: wanted numbers from 1, as 1,2,4,8.")
        if self.letter_height is not None and not 0 < self.letter_height < 1:
            raise InputError(f"--letter-height {self.letter_height}: wanted a share of 1.")
        if any(one.kind == "twin" for one in self.variants) and self.unseen < self.seen:
            raise InputError(
                f"--unseen {self.unseen}: a twin prints an unseen record in place of each of "
                f"{self.seen} seen ones; there must be as many."
            )
        check_fields(self.fields, "--fields")

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields in printed order."""
        return tuple(one.name for one in self.fields)

    def as_plain(self) -> Mapping[str, Any]:
        """The settings as JSON holds them, without where things lie on this machine."""
        given = asdict(self)
        del given["images"]
        return {
            **given,
            "questions": Path(self.questions).name,
            "variants": [one.name for one in self.variants],
            "fields": [one.model_dump(mode="json") for one in self.fields],
            "doses": list(self.doses),
        }


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))
