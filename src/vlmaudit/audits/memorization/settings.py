"""What a memorization audit can be told."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.results.vocabulary import Protocol

Mean = Literal["probe", "gradients", "extraction", "exposure"]
MEANS: Final[tuple[Mean, ...]] = get_args(Mean)
"""The four ways to ask whether something was retained, in the order of a report."""

TOKENS: Final = ("last", "image", "all")
PAPER_TOKEN: Final = "-2"
"""The place from the end whose states the paper probes."""

LARGEST_BATCH: Final = 4096
MOST_DECOYS: Final = 1_000_000
# A fold needs records of both arms, and a permutation test more than a handful of orders.
_FEWEST_FOLDS: Final = 2
_FEWEST_PERMUTATIONS: Final = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Memorization:
    """Ask by four means whether a checkpoint retained private text that was in its pictures.

    The experiment of Ju et al. (2025), as published and as it has to be for its claim.

    Attributes:
        protocol: ``audit`` probes other records than the probe was trained on; ``paper`` reads
            one random split of items, which tells what is printed and not what was seen.
        means: Which of the four means are asked.
        token: Whose states are kept: the last token's, the mean over the picture's tokens, over
            all tokens, or a place from the end such as -2.
        query: What is asked while states are kept.
        pictures: Held-out pictures on which each record is printed.
        batch_size: Pictures in each mini-batch on which a record is printed.
        batches: Mini-batches a record.
        batch_sizes: Sizes of mini-batches for the descriptive curves of the paper.
        curve_batches: Mini-batches of each such size.
        fields: Which fields are asked for; none: all of the album's.
        decoys: Made-up values among which the true one is ranked.
        max_new_tokens: Where an answer is cut off.
        folds: Parts into which records are cut for probes, each tested on the rest.
        permutations: Permutations of records under the null (B).
        alpha: Error level over the family of means.
        guesses: Canaries that are guessed, in and out together; 0: all. Fixed before looking.
        delta: The δ of the bound on ε.
        max_failures: Share of failed observations above which nothing is concluded.
        seed: Everything random follows from it.
    """

    protocol: Protocol = "audit"
    means: tuple[Mean, ...] = MEANS
    token: str = "last"
    query: str = "What is the username?"
    pictures: int = 4
    batch_size: int = 4
    batches: int = 4
    batch_sizes: tuple[int, ...] = (1, 4, 16, 64)
    curve_batches: int = 8
    fields: tuple[str, ...] = ()
    decoys: int = 10_000
    max_new_tokens: int = 32
    folds: int = 10
    permutations: int = 999
    alpha: float = 0.05
    guesses: int = 0
    delta: float = 0.0
    max_failures: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: A setting is out of range.
        """
        self._check_means()
        parse_token(self.token)
        if not self.query.strip():
            raise InputError("--query: nothing to ask.")
        if len(set(self.fields)) != len(self.fields):
            raise InputError(f"--fields {','.join(self.fields)}: a field stands here twice.")
        for option, value, most in (
            ("pictures", self.pictures, 10_000),
            ("batch-size", self.batch_size, LARGEST_BATCH),
            ("batches", self.batches, 10_000),
            ("curve-batches", self.curve_batches, 10_000),
            ("decoys", self.decoys, MOST_DECOYS),
            ("max-new-tokens", self.max_new_tokens, 100_000),
        ):
            if not 1 <= value <= most:
                raise InputError(f"--{option} {value}: wanted 1 to {most:,}.")
        sizes = self.batch_sizes
        if list(sizes) != sorted(set(sizes)) or not all(1 <= s <= LARGEST_BATCH for s in sizes):
            raise InputError(
                f"--batch-sizes {','.join(map(str, sizes))}: wanted rising numbers from 1 to "
                f"{LARGEST_BATCH:,}."
            )
        if self.folds < _FEWEST_FOLDS:
            raise InputError(f"--folds {self.folds}: wanted {_FEWEST_FOLDS} or more.")
        if self.permutations < _FEWEST_PERMUTATIONS:
            raise InputError(
                f"--permutations {self.permutations}: wanted {_FEWEST_PERMUTATIONS} or more."
            )
        if not 0 < self.alpha < 1:
            raise InputError(f"--alpha {self.alpha}: wanted a share between 0 and 1.")
        if self.guesses < 0:
            raise InputError(f"--guesses {self.guesses}: wanted 0 (all) or a number of canaries.")
        if not 0 <= self.delta < 1:
            raise InputError(f"--delta {self.delta}: wanted 0, or a share below 1.")
        if not 0 <= self.max_failures <= 1:
            raise InputError(f"--max-failures {self.max_failures}: wanted a share from 0 to 1.")

    def _check_means(self) -> None:
        for mean in self.means:
            if mean not in MEANS:
                raise InputError(
                    f'--means: no such mean as "{mean}".{did_you_mean(mean, MEANS)} Wanted some of '
                    f"{', '.join(MEANS)}."
                )
        if not self.means:
            raise InputError("--means: nothing to ask by.")
        if self.means != tuple(mean for mean in MEANS if mean in self.means):
            raise InputError(f"--means: wanted each once, in the order {', '.join(MEANS)}.")


def parse_token(text: str) -> Literal["last", "image", "all"] | int:
    """Which token's states are meant.

    >>> parse_token("image"), parse_token("-2")
    ('image', -2)

    Raises:
        InputError: None.
    """
    for mean in TOKENS:
        if text == mean:
            return mean
    place = text.removeprefix("-")
    if text.startswith("-") and place.isdecimal() and 0 < int(place[:6]) < 100_000:
        return int(text)
    raise InputError(
        f'--token "{text}": wanted {", ".join(TOKENS)}, or a place from the end such as -2.'
    )
