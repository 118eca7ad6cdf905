"""The quick half: what the evidence means. Pure; runs again without the model."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Literal

from vlmaudit.audits.condition_rows import ConditionRow
from vlmaudit.audits.design import Design
from vlmaudit.audits.identity_inference import gates
from vlmaudit.audits.identity_inference.attack import attack, confusions, curve
from vlmaudit.audits.identity_inference.claims import claims
from vlmaudit.audits.identity_inference.conditions import UnderCondition, shown_rows
from vlmaudit.audits.identity_inference.decisions import Decision, decide
from vlmaudit.audits.identity_inference.evidence import Evidence
from vlmaudit.audits.identity_inference.finding import Finding, GroupRow, PersonRow
from vlmaudit.audits.identity_inference.membership import (
    BLIND,
    add_rates,
    conformal_p_values,
    judge_membership,
)
from vlmaudit.audits.identity_inference.occurrences import (
    bin_limits,
    bin_words,
    members_between,
    occurrence_rows,
    unbinned,
)
from vlmaudit.audits.identity_inference.readings import OTHER, Read, compare
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.identity_inference.verdicts import judge
from vlmaudit.audits.identity_inference.votes import PersonVotes
from vlmaudit.audits.shares import share
from vlmaudit.results.records import Failures, ModelRecord
from vlmaudit.results.vocabulary import Protocol
from vlmaudit.stats.association import Association
from vlmaudit.stats.votes import agreement, shared_firsts


def conclude(
    evidence: Sequence[Evidence],
    settings: IdentityInference,
    *,
    failures: Failures,
    model: ModelRecord | None = None,
    design: Design | None = None,
    notices: Sequence[str] = (),
    conditions: Sequence[UnderCondition] = (),
    facts: Sequence[ConditionRow] = (),
) -> Finding:
    """The finding that the evidence supports under the settings' protocol.

    What the other protocol says of the same evidence stands beside it.

    Args:
        evidence: What speaks for each audited person.
        settings: The protocol and its parameters.
        failures: What could not be asked.
        model: Who answered; None for tables from elsewhere.
        design: How people were planted, where that is on record.
        notices: What was noticed on the way, for the reader.
        conditions: The evidence of pictures under conditions, each beside that of the same
            pictures as they are.
        facts: What was done to these pictures.
    """
    people = conformal_p_values(_rows(evidence, settings, design), settings)
    groups = _groups(people, settings, design)
    checked = gates.check(evidence, people, settings, failures=failures, design=design)
    judge_membership(evidence, people, settings, design=design, checked=checked)
    verdict, sentence = judge(people, checked, settings)
    mine = Read(settings.protocol, people, checked, verdict, sentence)
    other = _other_reading(evidence, settings, mine, failures=failures, design=design)
    by = {read.protocol: read for read in (mine, other)}
    attacks = attack(evidence, settings)
    bins = occurrence_rows(people, attacks, settings, design)
    return Finding(
        protocol=settings.protocol,
        model=model,
        settings=_shown(settings),
        verdict=verdict,
        sentence=sentence,
        gates=checked.gates,
        failures=failures,
        estimates=checked.estimates,
        tests=checked.tests,
        people=_with_both(people, by["paper"], by["audit"]),
        groups=groups,
        curve=curve(attacks, people),
        occurrences=bins,
        confusions=confusions(attacks, people, settings),
        comparison=compare(by["paper"], by["audit"], settings),
        conditions=list(facts),
        shown=shown_rows(conditions, lambda some: _rows(some, settings, design), settings),
        claims=claims(people),
        notes=[*notices, *checked.notes, *unbinned(people, bins, design)],
    )


def _other_reading(
    evidence: Sequence[Evidence],
    settings: IdentityInference,
    mine: Read,
    *,
    failures: Failures,
    design: Design | None,
) -> Read:
    """What the other protocol says; nothing is computed again that does not depend on it."""
    protocol = OTHER[settings.protocol]
    told = replace(settings, protocol=protocol)
    seen = [replace(one, votes=_votes_of(one, protocol)) for one in evidence]
    people = _rows(seen, told, design)
    checked = gates.check(seen, people, told, failures=failures, design=design)
    add_rates(people, checked)
    # Whether membership could be guessed blindly is the same under any protocol.
    checked.gates += [gate for gate in mine.checked.gates if gate.name == BLIND]
    return Read(protocol, people, checked, *judge(people, checked, told))


def _votes_of(one: Evidence, protocol: Protocol) -> PersonVotes | None:
    return one.audit_votes if protocol == "audit" else one.paper_votes


def _with_both(people: Sequence[PersonRow], paper: Read, audit: Read) -> list[PersonRow]:
    return [
        row.model_copy(update={"by_paper": by_paper.detected, "by_audit": by_audit.detected})
        for row, by_paper, by_audit in zip(people, paper.people, audit.people, strict=True)
    ]


def _score(votes: PersonVotes | None) -> int | None:
    return None if votes is None else agreement(votes.codes, votes.own)


def _rows(
    evidence: Sequence[Evidence], settings: IdentityInference, design: Design | None
) -> list[PersonRow]:
    """Everybody's row under the settings' protocol."""
    scores = [_score(one.votes) for one in evidence]
    decisions = decide(evidence, scores, settings)
    return [
        _row(one, score, decision, design)
        for one, score, decision in zip(evidence, scores, decisions, strict=True)
    ]


def _row(
    one: Evidence,
    score: int | None,
    decision: Decision,
    design: Design | None,
) -> PersonRow:
    test = one.test if isinstance(one.test, Association) else None
    return PersonRow(
        identity=one.person.identity,
        name=one.person.name,
        sex=one.person.sex,
        origin=one.person.origin,
        membership=one.person.membership,
        occurrences=one.person.occurrences,
        arm=design.words_of(one.person.identity) if design else "",
        pictures=one.pictures,
        failed=one.failed,
        detected=decision.detected,
        score=score,
        paper_score=_score(one.paper_votes),
        z=test.z if test else None,
        p=test.p if test else None,
        p_adjusted=decision.p_adjusted,
        p_names=test.p_names if test else None,
        p_faces=test.p_faces if test else None,
        p_cell=test.p_cell if test else None,
        p_min=test.p_min if test else None,
        n_names=test.n_names if test else None,
        n_faces=test.n_faces if test else None,
        paper_ties=_ties(one.paper_votes),
        note=decision.note,
    )


def _ties(votes: PersonVotes | None) -> int | None:
    return None if votes is None else shared_firsts(votes.codes, votes.own)


def _groups(
    people: Sequence[PersonRow], settings: IdentityInference, design: Design | None
) -> list[GroupRow]:
    """Shares by what is known of people: planted arm, membership, occurrences."""
    rows: list[GroupRow] = []

    def add(
        kind: Literal["dose", "arm", "occurrences", "membership"],
        group: str,
        is_member: bool | None,
        chosen: Sequence[PersonRow],
    ) -> None:
        if chosen:
            rows.append(
                GroupRow(
                    group=group,
                    kind=kind,
                    order=len(rows),
                    is_member=is_member,
                    detected=share([row.detected for row in chosen if row.detected is not None]),
                    by_votes=share(
                        [row.score >= settings.tau for row in chosen if row.score is not None]
                    ),
                )
            )

    if design:
        for arm in design.order:
            kind: Literal["dose", "arm"] = "dose" if design.is_member[arm] is not None else "arm"
            chosen = [row for row in people if row.arm == design.words[arm]]
            add(kind, design.words[arm], design.is_member[arm], chosen)
        # Doses are the occurrences here, and arms say more than membership does.
        return rows
    for membership, words, is_member in (
        ("member", "members", True),
        ("non_member", "non-members", False),
        ("", "membership unknown", None),
    ):
        add("membership", words, is_member, [r for r in people if r.membership == membership])
    for low, high in bin_limits(settings.bins):
        words = f"named in {bin_words(low, high)} captions"
        add("occurrences", words, True, members_between(people, low, high))
    return rows


def _shown(settings: IdentityInference) -> dict[str, str | int | float | bool | None]:
    shown = asdict(settings)
    shown |= {"templates": len(settings.templates), "edges": settings.bins}
    return {
        key: ", ".join(map(str, value)) if isinstance(value, tuple) else value
        for key, value in shown.items()
    }
