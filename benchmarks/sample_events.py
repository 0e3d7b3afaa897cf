"""The events that every benchmark uses: orders of distinct shoppers with everything Meta matches by."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

_FIRST_NAMES = ("Jo", "Valérie", "Mary-Jane", "Omar", "Ana", "Lars", "Mei", "Kofi", "Nora", "Ivan")
_LAST_NAMES = ("Bloggs", "O'Connor", "Smith", "Okafor", "García", "Nilsson", "Wong", "Mensah", "Haddad", "Petrov")
_CITIES = ("London", "New York", "St. Louis", "São Paulo", "Berlin", "Austin", "Leeds", "Lyon", "Oslo", "Madrid")


_FIRST_BIRTHDAY, _BIRTHDAYS = date(1946, 1, 1), 60 * 365


def _write_birthday(number: int) -> str:
    """Each day of 60 years in its turn, and no two neighbours one after the other."""
    return (_FIRST_BIRTHDAY + timedelta(days=number * 7_919 % _BIRTHDAYS)).isoformat()


def _write_address(number: int) -> str:
    """A public IPv4 address, another one for each of 16 million shoppers. Nothing is ever sent there."""
    return f"81.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def build_call(number: int, timestamp: str = "2026-11-21T11:59:58.250Z") -> dict[str, Any]:
    """An Order Completed of about 1.2 KB with ten traits; e-mail, phone, ids and order differ from call to call."""
    return {
        "type": "track",
        "messageId": f"bench-{number:012d}",
        "timestamp": timestamp,
        "sentAt": timestamp,
        "userId": f"user-{number}",
        "anonymousId": f"anonymous-{number}",
        "event": "Order Completed",
        "properties": {
            "order_id": f"A-{number}",
            "revenue": 10 + number % 90,
            "currency": "EUR",
            "tax": 4.2,
            "shipping": 3.5,
            "coupon": "MAYDEALS",
            "fbp": f"fb.1.1795262000000.{1_000_000_000 + number}",
            "products": [
                {
                    "product_id": "507f1f77bcf86cd799439011",
                    "sku": "G-32",
                    "name": "Monopoly",
                    "price": 18.99,
                    "quantity": 1,
                },
                {"product_id": "505bd76785ebb509fc183733", "sku": "G-33", "name": "Uno", "price": 3, "quantity": 2},
            ],
        },
        "context": {
            "ip": _write_address(number),
            "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_1) AppleWebKit/605.1.15 Safari/605.1.15",
            "page": {"url": f"https://shop.example/thanks?order={number}"},
            "library": {"name": "analytics-python", "version": "2.4.0"},
            "traits": {
                "email": f"shopper{number}@example.com",
                "phone": f"+1 415 555 {number % 10_000:04d}",
                "firstName": _FIRST_NAMES[number % 10],
                "lastName": _LAST_NAMES[number // 10 % 10],
                "gender": "female" if number % 2 else "male",
                "birthday": _write_birthday(number),
                "address": {
                    "city": _CITIES[number // 100 % 10],
                    "state": "CA",
                    "postalCode": f"{10_000 + number % 90_000}",
                    "country": "USA",
                },
            },
        },
    }


def build_json_calls(count: int, start: int = 0) -> Iterator[bytes]:
    """The same as JSON bytes, one call each."""
    for number in range(start, start + count):
        yield json.dumps(build_call(number), ensure_ascii=False, separators=(",", ":")).encode()


def build_largest_call() -> bytes:
    """About as much as the gateway takes in one event: 500 products, and no text of ASCII alone."""
    call = build_call(1)
    call["properties"]["products"] = [
        {"product_id": f"№{number}", "price": "€19,5", "quantity": "2", "name": "Ünïcødé"} for number in range(500)
    ]
    call["context"]["traits"] |= {"email": "ÉLODIE@exämple.de", "firstName": "Élodie", "lastName": "Ωmega Ñandú"}
    call["context"]["traits"]["address"] |= {"city": "São Paulo", "country": "日本", "state": "東京"}
    return json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode()
