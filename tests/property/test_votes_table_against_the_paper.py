"""`conclude --votes` against a reading of the paper's rule that anyone can check by eye.

Hintersdorf et al. (2024): for every template, the name that most pictures chose wins if it is
alone at the top; S counts the templates won by the true name; a member has S of at least tau.
"""

import csv
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlmaudit.audits.identity_inference.run import conclude_votes
from vlmaudit.audits.identity_inference.settings import IdentityInference

NAMES = ["Ann Lee", "Bob Ray", "Cy Dee", "Dot Eck", "X. (Y) *"]
TEMPLATES = [f"t{number}" for number in range(4)]


@st.composite
def tables(draw):
    """Votes of a few people with few names, so that ties are the rule."""
    n_people = draw(st.integers(1, 5))
    rows = []
    for person in range(n_people):
        for image in range(draw(st.integers(0, 5))):
            for template in TEMPLATES:
                predicted = draw(st.sampled_from([*NAMES, ""]))
                rows.append((f"p{person}", f"i{image}", template, predicted))
    memberships = [draw(st.sampled_from(["member", "non_member", ""])) for _ in range(n_people)]
    return rows, memberships


def by_hand(rows, identity, name):
    """S, read straight from the paper."""
    won = 0
    for template in TEMPLATES:
        chosen = Counter(
            predicted
            for person, _, of_template, predicted in rows
            if person == identity and of_template == template and predicted
        )
        top = max(chosen.values(), default=0)
        leaders = [candidate for candidate, count in chosen.items() if count == top]
        won += leaders == [name]
    return won


@given(tables(), st.integers(1, 3))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_scores_and_decisions_are_the_paper_s(tmp_path_factory, drawn, tau):
    rows, memberships = drawn
    if not rows:
        return
    folder = tmp_path_factory.mktemp("votes")
    with (folder / "votes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("identity", "image", "template", "predicted"), *rows])
    with (folder / "people.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ("identity", "name", "membership"),
                *(
                    (f"p{place}", NAMES[place % len(NAMES)].upper(), membership)
                    for place, membership in enumerate(memberships)
                ),
            ]
        )
    finding = conclude_votes(
        folder / "votes.csv",
        folder / "people.csv",
        IdentityInference(protocol="paper", tau=tau, sizes=(1, 3)),
    )
    asked = {person for person, _, _, _ in rows}
    for place, row in enumerate(finding.people):
        if row.identity not in asked:
            assert row.score is None
            assert row.detected is None
            continue
        expected = by_hand(rows, row.identity, NAMES[place % len(NAMES)])
        assert row.score == expected
        assert row.detected == (expected >= tau)
