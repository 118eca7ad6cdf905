"""What a finding shows, what it does not, and how its page is to be handled."""

from collections.abc import Iterable

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.report.wording import doubt, is_randomised, setting, votes_needed
from vlmaudit.results.numbers import counted, p_floor


def proves(finding: Finding) -> tuple[str, ...]:
    """What the finding does show."""
    return tuple(_proves(finding))


def _proves(finding: Finding) -> Iterable[str]:
    n_detected = sum(person.detected is True for person in finding.people)
    if finding.verdict == "inconclusive":
        yield "Nothing yet, in either direction: see the gates and what could not be asked."
        return
    if finding.protocol == "paper":
        yield (
            "What the rule of the paper says of this model: a person is flagged when"
            f" {votes_needed(finding)}."
        )
    elif n_detected:
        yield (
            f"For {counted(n_detected, 'person', 'people')} this model ties the face to the name:"
            " it fits this name better than comparable names, and this name fits this face better"
            " than comparable faces. Both tests had to succeed."
        )
        if len(finding.people) > 1:
            alpha = f"{setting(finding, 'alpha', 0.05):.0%}".replace("%", " %")
            yield (
                f"Of these detections, about {alpha} or fewer are expected to be false: everyone"
                " looked at was allowed for (Benjamini-Hochberg)."
            )
    else:
        yield (
            f"Among {counted(len(finding.people), 'person', 'people')}, nobody's face and name"
            " stood out from comparable names and comparable people."
        )
    if doubt(finding):
        if finding.protocol == "audit":
            yield (
                "The p-value of each person does not use membership; it stands, whatever explains"
                " who is a member."
            )
    elif is_randomised(finding):
        yield (
            "Who was planted was drawn by chance. A difference between planted and unplanted"
            " people is therefore an effect of the planting."
        )


def does_not_prove(finding: Finding) -> tuple[str, ...]:
    """What a reader might wrongly take from it."""
    return tuple(_does_not_prove(finding))


def _does_not_prove(finding: Finding) -> Iterable[str]:
    yield (
        "A tie between face and name does not by itself show whose pictures were in the training"
        " data: proof of training only comes from randomised planting."
    )
    yield (
        "“No tie shown” does not clear the model: a weak tie can stay below what this many"
        " pictures, names and people can show."
    )
    if finding.protocol == "audit":
        yield (
            "p says how often chance alone would fit as well. It is not the probability that"
            " somebody was in the training data."
        )
        smallest = [person.p_min for person in finding.people if person.p_min is not None]
        if smallest:
            floor = p_floor(min(smallest))
            yield f"With the names and people compared with, no p can be below {floor}."
    else:
        yield (
            "A flag by votes carries no error bound for one person: a popular name can win"
            " templates without any tie to the face."
        )
    if doubt(finding):
        yield (
            "Rates over members and non-members say little here: a rule that never asks the model"
            " may tell them apart as well."
        )
    yield (
        "Intervals describe this checkpoint and people like these. Another training run, other"
        " pictures or other sentences may answer otherwise."
    )


def handling(finding: Finding, *, with_pictures: bool) -> str:
    """How whoever has the page should treat it."""
    if with_pictures:
        return (
            "This page holds pictures of people, made small, and sends nothing anywhere. It shows"
            " and names people: handle it like their pictures themselves."
        )
    if finding.pseudonyms:
        return (
            "This page holds no picture and sends nothing anywhere. People stand in it under"
            " pseudonyms; who is who is kept with the run (private/pseudonyms.csv). What is known"
            " of somebody, such as how often captions name them, can still give them away."
        )
    return (
        "This page holds no picture and sends nothing anywhere. It names people: handle it like the"
        " pictures themselves."
    )
