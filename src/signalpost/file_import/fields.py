"""What a column can mean: a table of fields, the place of each in a Segment call, and the headers that stand for it.

A header is compared without case, accents and punctuation ("E-Mail" is "e mail"). Exact names come before names that
only contain the words, so "Billing City" is a city when no column is called "City".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Place = Literal["call", "traits", "address", "properties", "product"]
Kind = Literal["text", "amount", "count", "time", "products"]


@dataclass(frozen=True, slots=True)
class Field:
    """One meaning. name: its key at its place in the call. is_personal: its values are shown masked."""

    label: str
    place: Place
    name: str
    headers: tuple[str, ...]
    kind: Kind = "text"
    is_personal: bool = False


def _personal(label: str, place: Place, name: str, *headers: str) -> Field:
    return Field(label, place, name, headers, is_personal=True)


FIELDS: Mapping[str, Field] = {
    "email": _personal(
        "E-mail address", "traits", "email",
        "email", "e mail", "mail", "email address", "e mail address", "mail address", "courriel", "adresse e mail",
        "correo", "correo electronico", "mailadresse", "e mail adresse", "em",
    ),
    "phone": _personal(
        "Phone number", "traits", "phone",
        "phone", "phone number", "telephone", "tel", "mobile", "mobile phone", "cell", "cell phone", "telefon",
        "telefonnummer", "handy", "mobil", "mobilnummer", "telefono", "telefoon", "ph",
    ),
    "first_name": _personal(
        "First name", "traits", "firstName",
        "first name", "firstname", "fname", "given name", "forename", "vorname", "prenom", "nombre", "voornaam", "fn",
    ),
    "last_name": _personal(
        "Last name", "traits", "lastName",
        "last name", "lastname", "lname", "surname", "family name", "nachname", "familienname", "nom", "nom de famille",
        "apellido", "apellidos", "achternaam", "ln",
    ),
    "name": _personal(
        "Full name", "traits", "name", "name", "full name", "fullname", "customer name", "contact name", "kunde",
    ),
    "gender": _personal("Gender", "traits", "gender", "gender", "sex", "geschlecht", "sexe", "genero", "gen", "ge"),
    "birthday": _personal(
        "Birthday", "traits", "birthday",
        "birthday", "birth date", "birthdate", "date of birth", "dob", "geburtsdatum", "geburtstag",
        "date de naissance", "fecha de nacimiento",
    ),
    "city": _personal(
        "City", "address", "city", "city", "town", "stadt", "ort", "wohnort", "ville", "ciudad", "plaats", "ct",
    ),
    "state": _personal(
        "State or region", "address", "state",
        "state", "region", "province", "county", "bundesland", "provincia", "provincie", "st",
    ),
    "postal_code": _personal(
        "Postal code", "address", "postalCode",
        "postal code", "postcode", "post code", "zip", "zip code", "zipcode", "plz", "postleitzahl", "code postal",
        "codigo postal", "zp",
    ),
    "country": Field(
        "Country", "address", "country", ("country", "country code", "land", "pays", "pais", "countrycode"),
    ),
    "external_id": _personal(
        "Your id of the customer", "call", "userId",
        "external id", "externalid", "extern id", "customer id", "customerid", "user id", "userid", "client id",
        "contact id", "member id", "loyalty id", "loyalty card", "kundennummer", "kunden nr", "kunden id",
        "numero client", "crm id",
    ),
    "lead_id": Field(
        "Meta's lead id", "call", "leadId",
        ("lead id", "leadid", "facebook lead id", "fb lead id", "meta lead id", "leadgen id"),
    ),
    "event": Field(
        "Event", "call", "event",
        ("event", "event name", "eventname", "conversion", "conversion name", "action", "ereignis"),
    ),
    "time": Field(
        "Time of the event", "call", "timestamp",
        (
            "event time", "eventtime", "time", "timestamp", "date", "datetime", "date time", "date and time",
            "order date", "purchase date", "sale date", "transaction date", "conversion time", "conversion date",
            "created at", "created", "paid at", "sold at", "completed at", "datum", "uhrzeit", "bestelldatum",
            "kaufdatum", "verkaufsdatum", "date de commande", "fecha", "fecha de compra", "lead date", "close date",
        ),
        kind="time",
    ),
    "value": Field(
        "Value", "properties", "value",
        (
            "value", "revenue", "amount", "total", "order total", "order value", "grand total", "total price", "price",
            "sales", "sale amount", "conversion value", "betrag", "summe", "gesamt", "gesamtbetrag", "umsatz", "wert",
            "montant", "importe", "bedrag", "deal value", "deal amount",
        ),
        kind="amount",
    ),
    "currency": Field(
        "Currency", "properties", "currency", ("currency", "currency code", "waehrung", "wahrung", "devise", "moneda"),
    ),
    "order_id": Field(
        "Order id", "properties", "order_id",
        (
            "order id", "orderid", "order number", "order no", "order", "transaction id", "transaction", "receipt",
            "receipt number", "invoice", "invoice number", "bestellnummer", "auftragsnummer", "rechnungsnummer",
            "bonnummer", "numero de commande", "numero de pedido",
        ),
    ),
    "product_id": Field(
        "Product id", "product", "product_id",
        ("product id", "productid", "sku", "item id", "lineitem sku", "article number", "artikelnummer", "content id"),
    ),
    "product_name": Field(
        "Product name", "product", "name", ("product name", "product", "item name", "lineitem name", "artikel"),
    ),
    "quantity": Field(
        "Quantity", "product", "quantity",
        ("quantity", "qty", "lineitem quantity", "menge", "anzahl", "quantite", "cantidad"), kind="count",
    ),
    "price": Field(
        "Product price", "product", "price",
        ("unit price", "item price", "lineitem price", "product price", "einzelpreis", "stueckpreis"), kind="amount",
    ),
    "products": Field("Products (JSON)", "properties", "products", ("products", "contents", "items"), kind="products"),
    "event_id": Field(
        "Event id (shared with the Pixel)", "properties", "event_id", ("event id", "eventid", "dedup id"),
    ),
    "action_source": Field("Action source", "properties", "action_source", ("action source", "actionsource")),
}  # fmt: skip
"""In the order in which they are shown and guessed."""
