"""Who may write to the contact center: a pool of customers per locale, built once by Faker and then chosen by key."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pagerproof.errors import UsageError
from pagerproof.model import Customer
from pagerproof.rng import below, digits, key_of, pick, sub_key

_TIERS: Final = ("standard",) * 12 + ("silver",) * 5 + ("gold",) * 3
_DOMAINS: Final = ("example.com", "example.org", "example.net")
_CALLING_CODES: Final = {"US": "1", "DE": "49", "FR": "33", "ES": "34", "PL": "48", "JP": "81", "GB": "44", "IT": "39"}

UNUSUAL_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "right_to_left_name": (
        "محمد عبد الله الأنصاري", "فاطمة الزهراء", "נועה בן־דוד", "יוסף כהן", "علي رضا کریمی", "שירה לוי־אברהם",
        "خديجة بنت خالد", "זאב ז׳בוטינסקי",
    ),
    "other_script_name": (
        "王秀英", "Γεώργιος Παπαδόπουλος", "Дмитрий Щербаков", "प्रिया शर्मा", "สมชาย ใจดี", "김민준", "ნინო ბერიძე",
        "Þórður Æsir Ðuríðarson",
    ),
}  # fmt: skip
"""Names of customers whom only the edge case of that name brings in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerPool:
    """All customers of a run; `unusual` ones are in no locale's pool and come in by edge case only."""

    everyone: tuple[Customer, ...]
    by_locale: Mapping[str, tuple[Customer, ...]]
    unusual: Mapping[str, tuple[Customer, ...]]
    by_id: Mapping[str, Customer]
    by_email: Mapping[str, Customer]


def build_pool(seed: int, locales: Sequence[str], customers_per_locale: int) -> CustomerPool:
    """Return the pool of (seed, locales, size); a larger pool begins with the smaller one's names, locale by locale.

    Raises UsageError for a locale that Faker does not know.
    """
    if not locales or len(set(locales)) != len(locales):
        raise UsageError("workload.locales: needs at least one locale, each once")
    by_locale: dict[str, tuple[Customer, ...]] = {}
    number = 1
    for locale in locales:
        by_locale[locale] = _customers_of(seed, locale, number, customers_per_locale)
        number += customers_per_locale
    everyone = tuple(customer for customers in by_locale.values() for customer in customers)
    unusual: dict[str, tuple[Customer, ...]] = {}
    for edge_case, names in UNUSUAL_NAMES.items():
        unusual[edge_case] = tuple(
            _renamed(pick(key_of(seed, edge_case, name), everyone), name, number + position)
            for position, name in enumerate(names)
        )
        number += len(names)
    known = (*everyone, *(customer for customers in unusual.values() for customer in customers))
    return CustomerPool(
        everyone=everyone,
        by_locale=by_locale,
        unusual=unusual,
        by_id={customer.customer_id: customer for customer in known},
        by_email={customer.email: customer for customer in known},
    )


def _customers_of(seed: int, locale: str, first_number: int, count: int) -> tuple[Customer, ...]:
    # The bare factory with two providers loads ten times faster than Faker(locale), and unweighted names draw faster.
    from faker.factory import Factory

    try:
        source: Any = Factory.create(  # its providers' methods are added at run time
            locale, providers=["faker.providers.person", "faker.providers.address"], use_weighting=False
        )
    except AttributeError as error:
        raise UsageError(f"workload.locales: Faker cannot make customers for {locale!r}: {error}") from None
    source.seed_instance(key_of(seed, locale))
    country = locale.rpartition("_")[2].upper()
    customers = []
    for number in range(first_number, first_number + count):
        name = source.name()
        street = " ".join(source.street_address().split())
        customers.append(_customer(seed, locale, number, name, street, source.city(), source.postcode(), country))
    return tuple(customers)


def _customer(
    seed: int, locale: str, number: int, name: str, street: str, city: str, postcode: str, country: str
) -> Customer:
    key = key_of(seed, "customer", number)
    return Customer(
        customer_id=f"C{number:06d}",
        business_partner=f"10{number:08d}",
        locale=locale,
        name=name,
        email=f"{_slug(name)}.{number}@{pick(sub_key(key, b'domain'), _DOMAINS)}",
        phone=phone_number(sub_key(key, b"phone"), country),
        street=street,
        city=city,
        postcode=postcode,
        country=country,
        tier=pick(sub_key(key, b"tier"), _TIERS),
    )


def _renamed(base: Customer, name: str, number: int) -> Customer:
    return Customer(
        customer_id=f"C{number:06d}",
        business_partner=f"10{number:08d}",
        locale=base.locale,
        name=name,
        email=f"{_slug(name)}.{number}@{_DOMAINS[0]}",
        phone=base.phone,
        street=base.street,
        city=base.city,
        postcode=base.postcode,
        country=base.country,
        tier=base.tier,
    )


def phone_number(key: int, country: str) -> str:
    """Return a number that looks like one of that country and lies in the fictional 555-01 range."""
    return f"+{_CALLING_CODES.get(country, '1')} {200 + below(sub_key(key, b'area'), 800)} 555 01{digits(key, 2)}"


def _slug(name: str) -> str:
    """The name's letters that are ASCII once accents are taken off, as e-mail addresses have them."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = ["".join(letter for letter in word if letter.isalnum()) for word in plain.split()]
    return ".".join(word for word in words if word)[:40].strip(".") or "customer"
