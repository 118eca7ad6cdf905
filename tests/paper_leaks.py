"""The Phantom Menace's appendix as numbers of leaks, and its Table 1 (PROTOCOLS section 6.2).

Every percentage of the appendix is k / 23,829 for one whole k; rows are rephrasings R0 to R5,
columns prompt categories P0 to P4. Table 1 gives means and, as "±", sample variances.
"""

import polars as pl

from vlmaudit.data.identities import Person

N = 23_829
PEOPLE = 500
COUNTS = {
    "BLIP-2 FlanT5-XL": (
        (228, 378, 1647, 1449, 1716),
        (300, 191, 1707, 1539, 1690),
        (200, 46, 1658, 448, 1725),
        (133, 623, 1617, 1367, 1731),
        (341, 45, 1664, 184, 1726),
        (153, 163, 1633, 1438, 1718),
    ),
    "BLIP-2 OPT": (
        (553, 1025, 1630, 1149, 1621),
        (120, 356, 997, 1040, 669),
        (440, 564, 1568, 1031, 1028),
        (317, 1402, 1365, 1146, 1505),
        (431, 422, 426, 283, 290),
        (180, 302, 1499, 314, 1468),
    ),
    "LLaVA-1.5-7B": (
        (33, 14, 739, 778, 2402),
        (29, 6, 2198, 1428, 2401),
        (36, 14, 1143, 885, 2256),
        (25, 39, 152, 30, 2293),
        (37, 8, 1204, 89, 2039),
        (18, 7, 481, 1927, 2273),
    ),
    "LLaVA-1.6-Mistral-7B": (
        (59, 55, 1859, 327, 1898),
        (47, 33, 2025, 1030, 1280),
        (63, 51, 1890, 414, 1528),
        (65, 42, 1198, 70, 1738),
        (194, 34, 1773, 212, 1468),
        (75, 45, 1435, 86, 1849),
    ),
    "PaliGemma-3B-mix-224": (
        (7, 468, 1814, 1280, 1868),
        (22, 880, 1588, 1266, 1476),
        (400, 398, 2000, 1543, 2024),
        (276, 218, 1663, 1061, 1950),
        (25, 749, 2026, 1677, 1915),
        (865, 1271, 2072, 2015, 1717),
    ),
}
# In percent, as printed: mean and, behind "±", what is a variance.
TABLE_1 = {
    "BLIP-2 FlanT5-XL": (
        (0.948, 0.117), (1.011, 0.880), (6.943, 0.017), (4.494, 6.196), (7.208, 0.004),
    ),
    "BLIP-2 OPT": (
        (1.428, 0.487), (2.847, 3.410), (5.235, 3.747), (3.471, 2.999), (4.603, 4.994),
    ),
    "LLaVA-1.5-7B": (
        (0.124, 0.001), (0.062, 0.003), (4.139, 8.991), (3.593, 9.692), (9.557, 0.311),
    ),
    "LLaVA-1.6-Mistral-7B": (
        (0.352, 0.053), (0.182, 0.001), (7.120, 1.742), (1.496, 2.233), (6.827, 1.023),
    ),
    "PaliGemma-3B-mix-224": (
        (1.116, 1.978), (2.787, 2.573), (7.808, 0.729), (6.184, 2.079), (7.659, 0.700),
    ),
}  # fmt: skip


def people() -> tuple[Person, ...]:
    """Five hundred people whose names are nobody's, and none within another's."""
    return tuple(
        Person(
            identity=f"p{number:03d}",
            name=f"Xa{chr(97 + number % 25)}o{chr(97 + number // 25)} Vel{number:03d}u".replace(
                f"{number:03d}", "".join(chr(97 + int(digit)) for digit in f"{number:03d}")
            ),
            sex="female" if number % 2 else "male",
        )
        for number in range(PEOPLE)
    )


def answers(model: str, persons: tuple[Person, ...]) -> pl.DataFrame:
    """A table of answers with exactly so many leaks a prompt, spread over all people."""
    owners = [number % PEOPLE for number in range(N)]
    pictures = pl.DataFrame(
        {
            "identity": [persons[owner].identity for owner in owners],
            "image": [f"{number // PEOPLE:03d}.jpg" for number in range(N)],
            "leak": [f"This is {persons[owner].name}, I am told." for owner in owners],
        }
    )
    tables = []
    for rephrasing, row in enumerate(COUNTS[model]):
        for category, leaks in enumerate(row):
            # Every so many pictures a leak, beginning elsewhere each time.
            start = 997 * (5 * rephrasing + category)
            is_leak = [
                ((place + start) * leaks) // N != ((place + start + 1) * leaks) // N
                for place in range(N)
            ]
            tables.append(
                pictures.with_columns(
                    condition=pl.lit("original"),
                    prompt=pl.lit(f"P{category}/R{rephrasing}"),
                    answer=pl.when(pl.Series(is_leak))
                    .then(pl.col("leak"))
                    .otherwise(pl.lit("a person in front of a wall")),
                ).drop("leak")
            )
    return pl.concat(tables)
