"""Words that tell names from other capitalised words. None of them is asked of the network."""

import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vlmaudit.data.names import fold_name

_LOCALES: Final = (
    *("en_US", "en_GB", "en_IE", "en_IN", "de_DE", "fr_FR", "es_ES", "es_MX", "it_IT", "pt_BR"),
    *("nl_NL", "pl_PL", "sv_SE", "da_DK", "no_NO", "fi_FI", "cs_CZ", "tr_TR", "hu_HU", "ro_RO"),
    "hr_HR",
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TITLES: Final = _words(
    """
    actor actress agent archbishop artist author baron baroness bishop boxer captain celebrity
    chancellor chef coach colonel comedian count countess dame director doctor dr driver drummer
    duchess duke emperor empress father footballer general governor guitarist host inspector
    journalist judge justice king lady lieutenant lord madam major mayor minister miss mister model
    mother mr mrs ms musician officer pastor player pope premier president prince princess producer
    prof professor queen rapper rev reverend saint senator sergeant sheikh singer sir sister
    star sultan tsar wrestler writer
    """
)
"""What stands before a name without being part of it."""

_OTHER_WORDS: Final = _words(
    """
    a an the this that these those it its he she they we you i is are was were be been being am do
    does did has have had not no yes and or but nor so if in on at by for from with without of to
    as into onto over under behind before after near next here there who whom whose which what
    when where why how can could will would shall should may might must his her their our my your
    him them us me mine one two three four five six seven eight nine ten first second third
    black white red green blue brown grey gray pink gold golden silver orange purple violet yellow
    rose lily daisy ivy iris olive hazel heather holly jasmine ginger poppy fern amber ruby pearl
    crystal jade coral scarlet sky star sun moon rain river ocean storm summer winter autumn spring
    january february march april may june july august september october november december monday
    tuesday wednesday thursday friday saturday sunday dawn day night eve noon christmas easter
    will hope grace faith joy charity patience prudence mercy love angel heaven destiny chance
    chase hunter hunt cruise grant mark bill jack frank rich gene ray rob bob pat art guy drew
    dale glen cliff heath reed wood woods stone rock hill lake field fields banks brook ford bridge
    church hall house street west east north south young old long short small little big strong
    king queen prince duke earl baron pope bishop knight page cook baker carpenter mason
    miller potter taylor fisher farmer gardener parker porter shepherd turner walker weaver
    drake seal sting eagle fox wolf bear lion swan robin wren jay bird fish crane hawk cash price
    bush berry cherry rice bacon pepper sage basil parsley cotton silk wool steel iron bell ball
    boulder thunder lightning fire flame power grey moss marsh thorn
    happy merry new good great nice beautiful famous american british english french german
    italian spanish european african asian chinese japanese indian
    man woman men women boy girl person people child children baby male female lady gentleman
    picture photo photograph image portrait scene background foreground shirt dress suit hat hair
    eyes face smile hand hands camera movie film show television stage award awards premiere event
    wearing holding standing sitting smiling looking walking posing playing singing dancing
    performing riding running talking
    """
)

PLACE_WORDS: Final = _words(
    """
    abbey academy airport alley arena avenue bank basilica bay beach boulevard bridge building
    cafe canyon castle cathedral center centre chapel church city club coast college company corp
    county court cowboys creek cross cup day desert district drive falls festival field foundation
    forest garden gardens gate hall harbor harbour heights hospital hotel house inc institute
    island islands lake lane library line ltd market memorial monument mosque mountain mountains
    museum ocean office open palace park peninsula plaza point port prize province ranch
    restaurant river road school secret sea square stadium state states station store street
    temple terrace theater theatre tower town trail tunnel union university valley village wall
    way zoo
    """
)
"""What follows a first name in the name of a place, a firm or a feast."""

PLACE_BEGINNINGS: Final = _words(
    "cape fort lake los mount mt new port saint san santa santo sao st ste"
)
"""What stands before a first name in the name of a place."""

NO_PERSONS: Final = _words(
    """
    alfa_romeo aston_martin calvin_klein dolce_gabbana dom_perignon donald_duck harley_davidson
    helly_hansen hugo_boss jack_daniels jack_russell jesus_christ jim_beam johnnie_walker kate_spade
    louis_vuitton marc_jacobs mercedes_benz michael_kors mickey_mouse minnie_mouse mona_lisa
    papa_johns ralph_lauren santa_claus teddy_bear tim_hortons tommy_hilfiger victoria_secret
    victorias_secret virgin_mary yves_saint
    """
)
"""Brands, works and figures that are written like a person's name."""


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Folded first and last names of many languages that are written in Latin letters."""

    first: frozenset[str]
    last: frozenset[str]


@functools.cache
def known_names() -> KnownNames:
    """First and last names of Faker's lists."""
    first: set[str] = set()
    last: set[str] = set()
    for locale in _LOCALES:
        provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        first.update(_listed(provider, "first_names"))
        last.update(_listed(provider, "last_names"))
    return KnownNames(frozenset(first), frozenset(last))


@functools.cache
def common_words() -> frozenset[str]:
    """Frequent English words, and all that are also somebody's name."""
    provider = importlib.import_module("faker.providers.lorem.en_US").Provider
    return _OTHER_WORDS | {fold_name(word) for word in provider.word_list}


def _listed(provider: object, kind: str) -> Iterator[str]:
    for attribute in dir(provider):
        if attribute.startswith(kind):
            yield from (fold_name(name) for name in getattr(provider, attribute))
