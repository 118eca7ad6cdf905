"""What a search for people's pictures found, as tables: matches, counts, labels with their rule."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from vlmaudit.data.identities import People
from vlmaudit.data.picture_sets import PictureSet
from vlmaudit.imaging.membership import Threshold
from vlmaudit.results.files import write_whole
from vlmaudit.results.numbers import count, counted, percent
from vlmaudit.results.records import Estimate
from vlmaudit.stats.intervals import clopper_pearson

MATCHES: Final = "matches.parquet"
COUNTS: Final = "counts.csv"
UNREADABLE: Final = "unreadable.csv"
SUMMARY: Final = "summary.json"

MEMBER: Final = "member"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """A search that is through.

    Attributes:
        people: Whom it was for.
        pictures: The set.
        pairs: A row a person and candidate: ``person,place,cosine,attack,is_near_duplicate,faces,
            similarity,verified``, people, pictures and attack pictures by number.
        attack_images: How tables call people's own pictures.
        references: Faces that were found in each person's own pictures.
        compared: Faces that each person was compared with.
        threshold: The similarity above which a face is theirs.
        false_members: Share of absent people that it lets through, as far as the known
            non-matches are like the faces in the set.
        unreadable: Pictures of the set and of people that could not be read, with the reason.
        looked_at: Candidates in which faces were looked for.
        names: Who chose candidates, who found faces, and who told them apart.
    """

    people: People
    pictures: PictureSet
    pairs: pl.DataFrame
    attack_images: tuple[str, ...]
    references: tuple[int, ...]
    compared: tuple[int, ...]
    threshold: Threshold
    false_members: float
    unreadable: tuple[tuple[str, str], ...]
    looked_at: int
    names: tuple[str, str, str]

    def matches(self) -> pl.DataFrame:
        """All candidates, matched or not, so that another threshold needs no second search.

        Columns: ``identity,image,similarity`` (of the most similar face; null: no face),
        ``verified,is_near_duplicate`` (of ``attack_image``), ``cosine`` (of the embeddings),
        ``attack_image,faces,caption``.
        """
        identities = pl.Series([one.identity for one in self.people.persons], dtype=pl.String)
        own = pl.Series(self.attack_images, dtype=pl.String)
        chosen = self.pictures.table[self.pairs["place"].to_list()]
        return (
            self.pairs.with_columns(
                identities.gather(self.pairs["person"]).alias("identity"),
                own.gather(self.pairs["attack"]).alias("attack_image"),
                chosen["image"].alias("image"),
                chosen["caption"].alias("caption"),
            )
            .select(
                *("identity", "image", "similarity", "verified", "is_near_duplicate"),
                *("cosine", "attack_image", "faces", "caption"),
            )
            .sort(
                "identity", "verified", "similarity", "image", descending=[False, True, True, False]
            )
        )

    def counts(self) -> pl.DataFrame:
        """A row a person: pictures found, near-duplicates among them, the label and its rule."""
        person = self.pairs["person"].to_numpy()
        is_found = self.pairs["verified"].to_numpy()
        is_copy = is_found & self.pairs["is_near_duplicate"].to_numpy()
        n_people = len(self.people.persons)
        candidates, found, copies = (
            np.bincount(person[which], minlength=n_people).tolist()
            for which in (np.ones_like(is_found), is_found, is_copy)
        )
        rows = [
            (
                one.identity,
                found[number],
                *self._label(number, found[number], copies[number]),
                copies[number],
                candidates[number],
                self.compared[number],
            )
            for number, one in enumerate(self.people.persons)
        ]
        return pl.DataFrame(
            rows,
            schema={
                "identity": pl.String,
                "pictures": pl.Int64,
                "membership": pl.String,
                "rule": pl.String,
                "near_duplicates": pl.Int64,
                "candidates": pl.Int64,
                "faces_compared": pl.Int64,
            },
            orient="row",
        )

    def shares(self) -> dict[str, Estimate]:
        """What share of what, each with its n and its exact interval.

        ``people_found`` is of people in whose own pictures a face was found. The others are of
        pictures and of comparisons, which are no independent draws: their intervals are too narrow.
        """
        counts = self.counts()
        sought = np.array(self.references) > 0
        has = pl.Series(sought)
        per_picture = self.pairs.unique("place")
        return {
            "people_found": _share(
                int((counts.filter(has)["membership"] == MEMBER).sum()), int(sought.sum())
            ),
            "people_with_near_duplicates": _share(
                int((counts.filter(has)["near_duplicates"] > 0).sum()), int(sought.sum())
            ),
            "candidates_with_a_face": _share(
                int((per_picture["faces"] > 0).sum()), per_picture.height, "picture"
            ),
            "known_non_matches_that_pass": _share(
                self.threshold.false_matches, self.threshold.non_matches, "comparison"
            ),
        }

    def _label(self, number: int, found: int, copies: int) -> tuple[str, str]:
        """Member or unknown, and why; no search of this kind can show that somebody is absent."""
        if not self.references[number]:
            return UNKNOWN, "no face was found in their own pictures: nobody could be looked for"
        threshold = self.threshold
        bar = (
            f"similarity above {threshold.cosine:.4f}, which {count(threshold.false_matches)} of "
            f"{counted(threshold.non_matches, 'known non-match', 'known non-matches')} have"
        )
        if not found:
            compared = counted(self.compared[number], "face", "faces")
            return UNKNOWN, f"none of {compared} has a {bar}: not found is not absent"
        rule = f"{counted(found, 'picture', 'pictures')} with a face of a {bar}"
        if not threshold.is_supported:
            per_person = threshold.rate.high * sum(self.compared) / len(self.compared)
            rule += f" (too few for {percent(self.false_members)} of absent people"
            rule += f"; they allow up to {per_person:.2g} false matches a person)"
        else:
            rule += f"; set for {percent(self.false_members)} of absent people at the most"
        if copies == found:
            rule += "; near-duplicates of attack pictures alone: attack with other pictures"
        return MEMBER, rule


def write_tables(search: Search, out: Path) -> None:
    """Write ``matches.parquet``, ``counts.csv``, ``unreadable.csv`` and ``summary.json``."""
    write_whole(out / MATCHES, search.matches().write_parquet, private=True)
    write_whole(out / COUNTS, search.counts().write_csv, private=True)
    unreadable = pl.DataFrame(
        search.unreadable, schema={"image": pl.String, "reason": pl.String}, orient="row"
    )
    write_whole(out / UNREADABLE, unreadable.write_csv, private=True)
    chosen, found, told_apart = search.names
    summary = {
        "schema": 1,
        "people": len(search.people.persons),
        "pictures": len(search.pictures),
        "unreadable": len(search.unreadable),
        "looked_at": search.looked_at,
        "candidates_chosen_by": chosen,
        "faces_found_by": found,
        "faces_told_apart_by": told_apart,
        "threshold": search.threshold.cosine,
        "false_match_rate_wanted": search.threshold.wanted,
        "threshold_is_supported": search.threshold.is_supported,
        "false_members_wanted": search.false_members,
        "shares": {name: share.model_dump() for name, share in search.shares().items()},
    }
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    write_whole(out / SUMMARY, lambda part: part.write_text(text, "utf-8"), private=True)


def _share(successes: int, n: int, unit: str = "person") -> Estimate:
    if not n:
        return Estimate(value=None, low=None, high=None, n=0, method="Clopper-Pearson", unit=unit)
    interval = clopper_pearson(successes, n)
    return Estimate(
        value=successes / n,
        low=interval.low,
        high=interval.high,
        n=n,
        method="Clopper-Pearson",
        unit=unit,
    )
