"""The invented customers that the demo's CRM serves.

Owns the records: each is made from its number alone, so the API needs no storage and every sync of the same
CRM sees the same data. Names come in many scripts on purpose: a dashboard meets them all in the end.
"""

from collections.abc import Callable, Mapping
from typing import Final

Record = dict[str, str | int | None]

# fmt: off
_GIVEN: Final = (
    "Ada", "Björn", "Chloé", "Dmitri", "Esra", "Finn", "Gözde", "Hana", "Íris", "João",
    "Kenji", "Leïla", "Małgorzata", "Nguyễn", "Oluwaseun", "Priya", "Renée", "Siobhán",
    "Tomáš", "Zoë", "محمد", "李娜", "Елена", "유나",
)
_FAMILY: Final = (
    "Ångström", "Bakker", "Çelik", "Dvořák", "Eriksen", "Fernández", "García", "Hansen",
    "Ionescu", "Jansen", "Kowalski", "López", "Müller", "Novák", "O'Brien",
    "Papadopoulos", "Schmidt", "Tanaka", "Wójcik", "陈", "حداد",
)
_BUSINESS: Final = (
    "Foods", "Logistics", "Optics", "Energie", "Textiles", "Robotics", "Pharma",
    "Ceramics", "Media", "Marine",
)
_FORM: Final = (
    "GmbH", "Ltd", "S.A.", "AB", "株式会社", "Oy", "Inc.", "B.V.",
)
# fmt: on
_STAGE: Final = ("lead", "qualified", "proposal", "won", "lost")


def contact(number: int) -> Record:
    """Make one person; every eleventh has no address, as in any CRM."""
    given, family = _GIVEN[number * 7 % len(_GIVEN)], _FAMILY[number * 5 % len(_FAMILY)]
    return {
        "id": number + 1,
        "given_name": given,
        "family_name": family,
        "email": None if number % 11 == 10 else f"contact{number + 1}@example.com",
        "company_id": number * 3 % 400 + 1,
    }


def company(number: int) -> Record:
    """Make one company."""
    family, business = _FAMILY[number * 3 % len(_FAMILY)], _BUSINESS[number * 7 % len(_BUSINESS)]
    return {
        "id": number + 1,
        "name": f"{family} {business} {_FORM[number % len(_FORM)]}",
        "employees": number * 37 % 5000,
    }


def opportunity(number: int) -> Record:
    """Make one possible sale; amounts are in cents."""
    return {
        "id": number + 1,
        "contact_id": number * 13 % 1800 + 1,
        "stage": _STAGE[number * 3 % len(_STAGE)],
        "amount": number * 7919 % 9_000_000,
    }


MAKERS: Final[Mapping[str, Callable[[int], Record]]] = {
    "contacts": contact,
    "companies": company,
    "opportunities": opportunity,
}
