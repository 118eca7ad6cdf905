"""What a name-leakage finding shows, what it does not, and how its page is to be handled."""

from collections.abc import Iterable
from typing import Final

from vlmaudit.audits.name_leakage.finding import Finding
from vlmaudit.report.leakage.wording import LIFT, main_groups
from vlmaudit.results.numbers import count, counted, p_floor, percent

OWN_BACKGROUND: Final = "own-background"
"""The condition in which a person is cut out and pasted back where they were."""


def proves(finding: Finding) -> tuple[str, ...]:
    """What the finding does show."""
    return tuple(_proves(finding))


def _proves(finding: Finding) -> Iterable[str]:
    if finding.verdict == "inconclusive":
        yield "Nothing yet, in either direction: see the gates and what could not be asked."
        return
    detected = sum(person.detected is True for person in finding.people)
    lift = finding.estimates.get(LIFT)
    if finding.protocol == "paper":
        yield (
            "What the rule of the paper says of this model: an answer leaks when the person's name"
            " stands in it, letter by letter, whatever the answer means by it."
        )
    if finding.protocol == "audit" and finding.verdict == "found":
        yield (
            "Taken together, people's names come out more often on pictures of them than on"
            " pictures of others: exchanging people would hardly ever give as much."
        )
    if finding.protocol == "audit" and detected:
        yield (
            f"For {counted(detected, 'person', 'people')} this model says the name more often on"
            " pictures of that person than on pictures of others, and more often than it says"
            " other people's names there. Both had to hold."
        )
    elif finding.protocol == "audit" and any(row.detected is False for row in finding.people):
        yield (
            f"For none of {counted(len(finding.people), 'person', 'people')}, taken alone, is it"
            " shown that the name leaks."
        )
    elif finding.protocol == "audit":
        yield (
            f"Of {counted(len(finding.people), 'person', 'people')}, a leaking name can be shown"
            " for nobody alone, with the people there are to compare with."
        )
    if lift is not None and lift.value is not None:
        yield (
            "The lift is not a habit of saying popular names: names were exchanged between people"
            " of the same sex, and a model that always says one name has a lift of exactly 0."
        )
    unasked = main_groups(finding).get("P0")
    if unasked is not None and unasked.rate.value:
        yield "The name comes out even where a prompt only asks to describe the picture."
    if any(row.kind == "condition" for row in finding.contrasts):
        yield (
            "What a condition does to these pictures is why this model's answers change under it:"
            " the same pictures of the same people are asked about in the same words. That is a"
            " cause, for this model and these pictures."
        )


def does_not_prove(finding: Finding) -> tuple[str, ...]:
    """What a reader might wrongly take from it."""
    return tuple(_does_not_prove(finding))


def _does_not_prove(finding: Finding) -> Iterable[str]:
    yield (
        "“Says the name” is not “was trained on this picture”, nor on any picture of the person:"
        " the parts of a model may have seen the face elsewhere, and a picture may show more than a"
        " face (a caption, a jersey, a place). Proof of training only comes from randomised"
        " planting."
    )
    yield (
        "A name that does not come out is not unknown: refusals and other wording can hide what"
        " the model knows. The section on likelihoods looks behind that, where it was asked for."
    )
    if finding.protocol == "audit":
        yield (
            "p says how often exchanging people would give as much. It is not the probability that"
            " the model knows somebody."
        )
        smallest = [person.p_min for person in finding.people if person.p_min is not None]
        if smallest:
            floor = p_floor(min(smallest))
            yield f"With the people compared with, nobody's own p can be below {floor}."
    else:
        yield "A bare rate also counts names that the model says of everybody; the lift does not."
    if finding.conditions:
        yield from _of_conditions(finding)
    specificity, recall = finding.matcher.specificity.value, finding.matcher.recall.value
    if specificity is not None and recall is not None:
        yield (
            "Whether an answer names somebody was decided by a program. On"
            f" {count(finding.matcher.n)} labelled answers it saw {percent(recall)} of the leaks"
            f" and passed {percent(specificity)} of the rest as none; on this run's answers it may"
            " do better or worse."
        )
    if finding.labels is None:
        yield "The matcher was not validated on this run: nobody labelled answers of it."
    yield (
        "Everything here is about one checkpoint, these prompts and people like these. Another"
        " training run, other pictures or other words may come out otherwise."
    )


def _of_conditions(finding: Finding) -> Iterable[str]:
    cut = [row for row in finding.conditions if row.mask_area is not None]
    if cut:
        checked = any(row.condition == OWN_BACKGROUND for row in finding.conditions)
        yield (
            "Cutting a person out changes a picture by itself. "
            + (
                f"{OWN_BACKGROUND} is the control for it: what it changes is not the background's."
                if checked
                else f"Its control, {OWN_BACKGROUND}, was not shown: a fall may come from the"
                " cutting."
            )
        )
    hiding = any(row.faces is not None for row in finding.conditions)
    failed = sum(row.pictures - row.hidden for row in finding.conditions)
    if hiding or failed:
        yield (
            "A face that no longer helps this model is not an anonymised face: another model, or"
            " somebody who knows how it was hidden, may still tell it. Where hiding failed, nothing"
            " was hidden."
        )


def handling(finding: Finding, *, with_pictures: bool, with_answers: bool) -> str:
    """How whoever has the page should treat it."""
    if with_pictures:
        return (
            "This page holds pictures of people, made small, and sends nothing anywhere. It shows"
            " and names people, and quotes what a model said of them: handle it like the pictures."
        )
    if finding.pseudonyms:
        quoted = (
            " Answers are quoted with names replaced; what else they say of somebody, such as a"
            " film, can still give them away."
            if with_answers
            else ""
        )
        return (
            "This page holds no picture and sends nothing anywhere. People stand in it under"
            f" pseudonyms; who is who is kept with the run (private/pseudonyms.csv).{quoted}"
        )
    return (
        "This page holds no picture and sends nothing anywhere. It names people, and what a model"
        " said of them need not be true: handle it like the pictures themselves."
    )
