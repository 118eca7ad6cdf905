"""IDIA scoring: 153 people, 92 pictures, 21 templates, 1000 names, 16 sizes, 20 draws.

Against the plain pandas way: a row a vote, group by person and template, lists and uniques a row.
Both count the same draws; every decision is compared.

    python benchmarks/scoring.py [--rounds 3] [--pandas-draws 2]

The plain way is linear in draws, so that it is timed on few of them and multiplied.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd

from _timing import alternate, print_table
from vlmaudit.seeds import stream
from vlmaudit.stats.votes import draw_agreements, picture_orders

SIZES = (*range(1, 30, 2), 30)
N_DRAWS, N_PEOPLE, N_IMAGES, N_TEMPLATES, N_NAMES = 20, 153, 92, 21, 1000
TARGET = 300


def draw_votes() -> list[np.ndarray]:
    """One table of votes a person, whose name is the person's number; some are easy, some not."""
    rng = stream(0, "benchmark", "votes")
    tables = []
    for person in range(N_PEOPLE):
        others = rng.integers(N_NAMES, size=(N_IMAGES, N_TEMPLATES))
        favourite = rng.integers(N_NAMES, size=N_TEMPLATES)  # the wrong name a template likes
        chance = rng.random((N_IMAGES, N_TEMPLATES))
        known = rng.uniform(0, 0.3)
        votes = np.where(chance < known, person, np.where(chance > 0.85, favourite, others))
        tables.append(votes)
    return tables


def as_frame(tables: Sequence[np.ndarray]) -> pd.DataFrame:
    """A row for every vote."""
    frames = [
        pd.DataFrame(
            {
                "person": f"person {person}",
                "picture": np.repeat(np.arange(N_IMAGES), N_TEMPLATES),
                "template": np.tile(np.arange(N_TEMPLATES), N_IMAGES),
                "name": [f"person {name}" for name in votes.reshape(-1)],
            }
        )
        for person, votes in enumerate(tables)
    ]
    return pd.concat(frames, ignore_index=True)


def score_with_pandas(
    people: dict[str, pd.DataFrame], orders: dict[str, np.ndarray], draws: int
) -> np.ndarray:
    """S of every person, size and draw, counted a row at a time."""
    scores = np.zeros((len(people), len(SIZES), draws), dtype=int)
    for at_size, size in enumerate(SIZES):
        for draw in range(draws):
            drawn = pd.concat(
                frame[frame["picture"].isin(orders[person][draw, :size])]
                for person, frame in people.items()
            )
            lists = drawn.groupby(["person", "template"], sort=False)["name"].agg(list)
            hits: dict[str, int] = dict.fromkeys(people, 0)
            for (person, _), names in lists.items():
                found, counts = np.unique(names, return_counts=True)
                most = counts.max()
                if (counts == most).sum() == 1 and found[counts.argmax()] == person:
                    hits[person] += 1
            scores[:, at_size, draw] = list(hits.values())
    return scores


def score(tables: Sequence[np.ndarray], *, n_draws: int) -> np.ndarray:
    """The same by `draw_agreements`."""
    return np.stack(
        [
            draw_agreements(
                votes, person, sizes=SIZES, n_draws=n_draws, rng=stream(0, "draws", person)
            )
            for person, votes in enumerate(tables)
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pandas-draws", type=int, default=2)
    arguments = parser.parse_args()
    draws = arguments.pandas_draws

    tables = draw_votes()
    frame = as_frame(tables)
    people = {str(person): rows for person, rows in frame.groupby("person", sort=False)}
    orders = {
        f"person {person}": picture_orders(N_IMAGES, N_DRAWS, stream(0, "draws", person))
        for person in range(N_PEOPLE)
    }
    plain = score_with_pandas(people, orders, draws)
    ours = score(tables, n_draws=N_DRAWS)[:, :, :draws]
    print(
        f"{plain.size} scores compared: {np.count_nonzero(plain != ours)} differ; "
        f"{np.mean(plain >= 1):.0%} of the decisions at tau = 1 are 'member'"
    )
    seconds = alternate(
        {
            "plain pandas": lambda: score_with_pandas(people, orders, draws),
            "vlmaudit": lambda: score(tables, n_draws=N_DRAWS),
        },
        rounds=arguments.rounds,
    )
    seconds["plain pandas"] *= N_DRAWS / draws
    print_table(
        seconds,
        base="plain pandas",
        target=f"target: at least {TARGET} times as fast",
        note={"plain pandas": f"(from {draws} of {N_DRAWS} draws)"},
    )


if __name__ == "__main__":
    main()
