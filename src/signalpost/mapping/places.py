"""Countries, states, cities and postal codes as Meta hashes them, and the tables of names they are looked up in.

Nothing is cut to two letters and nothing is guessed: what no table knows is sent as given or left out.
Source: Meta, "Customer Information Parameters", country, st, ct, zp; ISO 3166-1 and 3166-2 as pycountry has them.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from unicodedata import category, normalize

from signalpost.mapping.normalize import clean_text, keep_letters_and_marks, lower_text, write_digits_in_ascii


def _read_table(rows: str) -> dict[str, str]:
    """Read "code: name name" rows into a table from name to code. A name is written as a look-up key: letters only."""
    table = {}
    for row in rows.strip().splitlines():
        code, names = row.split(":")
        table.update(dict.fromkeys(names.split(), code.strip()))
    return table


_COUNTRY_ALIASES = """
    ae: uae
    at: österreich
    be: belgië belgique
    bn: brunei
    br: brasil
    cd: drc
    ch: schweiz suisse svizzera
    ci: ivorycoast
    cn: prc 中国
    cv: capeverde
    de: deutschland
    dk: danmark
    es: españa
    fi: suomi
    gb: uk greatbritain britain england scotland wales northernireland
    gr: el
    ie: éire
    it: italia
    jp: 日本
    kr: korea republicofkorea rok 한국 대한민국
    mk: macedonia
    mm: burma
    mo: macau macao
    nl: holland nederland
    no: norge
    pl: polska
    ps: palestine
    ru: russia россия
    sa: ksa
    se: sverige
    sz: swaziland
    tl: easttimor
    tr: turkey
    us: unitedstates
    va: vatican
"""

US_TERRITORIES = frozenset({"pr", "gu", "vi", "as", "mp"})

_US_STATES = _read_table("""
    al: al alabama
    ak: ak alaska
    az: az arizona
    ar: ar arkansas
    ca: ca california
    co: co colorado
    ct: ct connecticut
    de: de delaware
    dc: dc districtofcolumbia washingtondc
    fl: fl florida
    ga: ga georgia
    hi: hi hawaii
    id: id idaho
    il: il illinois
    in: in indiana
    ia: ia iowa
    ks: ks kansas
    ky: ky kentucky
    la: la louisiana
    me: me maine
    md: md maryland
    ma: ma massachusetts
    mi: mi michigan
    mn: mn minnesota
    ms: ms mississippi
    mo: mo missouri
    mt: mt montana
    ne: ne nebraska
    nv: nv nevada
    nh: nh newhampshire
    nj: nj newjersey
    nm: nm newmexico
    ny: ny newyork
    nc: nc northcarolina
    nd: nd northdakota
    oh: oh ohio
    ok: ok oklahoma
    or: or oregon
    pa: pa pennsylvania
    ri: ri rhodeisland
    sc: sc southcarolina
    sd: sd southdakota
    tn: tn tennessee
    tx: tx texas
    ut: ut utah
    vt: vt vermont
    va: va virginia
    wa: wa washington
    wv: wv westvirginia
    wi: wi wisconsin
    wy: wy wyoming
    pr: pr puertorico
    gu: gu guam
    vi: vi virginislands usvirginislands unitedstatesvirginislands virginislandsus
    as: as americansamoa
    mp: mp northernmarianaislands
    aa: aa armedforcesamericas
    ae: ae armedforceseurope
    ap: ap armedforcespacific
""")

_CANADIAN_PROVINCES = _read_table("""
    ab: ab alberta
    bc: bc britishcolumbia
    mb: mb manitoba
    nb: nb newbrunswick
    nl: nl newfoundlandandlabrador newfoundland
    ns: ns novascotia
    nt: nt northwestterritories
    nu: nu nunavut
    on: on ontario
    pe: pe pei princeedwardisland
    qc: qc quebec québec
    sk: sk saskatchewan
    yt: yt yukon yukonterritory
""")

_STATES: dict[str | None, dict[str, str]] = {
    None: _CANADIAN_PROVINCES | _US_STATES,  # the two share no name
    "us": _US_STATES,
    "ca": _CANADIAN_PROVINCES,
    **dict.fromkeys(US_TERRITORIES, _US_STATES),
}
_COUNTRY_AFTER_STATE = ("unitedstatesofamerica", "unitedstates", "usa", "us", "canada")
_ISO_SUBDIVISION = re.compile("([a-z]{2})-([a-z0-9]{1,3})")

_DIGITS_ONLY_POSTAL_CODES = frozenset((
    "at", "au", "be", "bg", "br", "ch", "cn", "cz", "de", "dk", "es", "fi", "fr", "gr", "hr", "hu", "id", "il", "in",
    "is", "it", "jp", "kr", "li", "lu", "mx", "my", "no", "nz", "ph", "pl", "ro", "ru", "sa", "se", "sg", "si", "sk",
    "th", "tr", "ua", "vn", "za",
))  # fmt: skip
_NOT_IN_POSTAL_CODE = re.compile("[^a-z0-9]+")
_NOT_DIGIT = re.compile("[^0-9]+")
_FEWEST_CHARACTERS, _MOST_CHARACTERS = 2, 10


def normalize_country(text: str) -> str | None:
    """Return the ISO 3166 alpha-2 code in lower case, from a code, an ISO name or a usual name; None when unknown.

    Never the first two letters of something else: "UAE" is not Ukraine, "AUT" not Australia.
    """
    return _remember_country(text) if len(text) <= _REMEMBERED_CHARACTERS else _look_up_country(text)


def _look_up_country(text: str) -> str | None:
    key = _country_key(text)
    countries = _load_countries()
    return countries.get(key) or countries.get(key.removeprefix("the"))


_REMEMBERED_CHARACTERS = 64
_remember_country = lru_cache(1024)(_look_up_country)


def _country_key(text: str) -> str:
    decomposed = normalize("NFKD", clean_text(text)).lower()
    return "".join(character for character in decomposed if character.isalpha())


@cache
def _load_countries() -> dict[str, str]:
    named = {_country_key(name): code for name, code in _iso_names()}
    return named | {_country_key(name): code for name, code in _read_table(_COUNTRY_ALIASES).items()}


def _iso_names() -> Iterator[tuple[str, str]]:
    import pycountry  # noqa: PLC0415 - slow to import, not always needed

    for country in pycountry.countries:
        for field in ("name", "common_name", "official_name", "alpha_2", "alpha_3"):
            name = getattr(country, field, None)
            if name:
                yield name, country.alpha_2.lower()


def normalize_state(text: str, country: str | None) -> str | None:
    """Return a US or Canadian code in two lower-case letters, elsewhere the text as given: lower case, letters only.

    country: ISO alpha-2, lower case; None when unknown, and then a state's name of either country is recognised.
    None when no letter is left. "US-CA" and "AU-NSW" are read as ISO 3166-2. An unknown name is not cut or guessed.
    """
    lowered = lower_text(text)
    found = _ISO_SUBDIVISION.fullmatch(lowered)
    if found is not None and _names_subdivision(found, country):
        country, lowered = found[1], found[2]
    key = keep_letters_and_marks(lowered)
    states = _STATES.get(country, {})
    for name in (key, *(key.removesuffix(after) for after in _COUNTRY_AFTER_STATE)):
        if name in states:
            return states[name]
    return key or None


def _names_subdivision(found: re.Match[str], country: str | None) -> bool:
    of_country = "us" if country in US_TERRITORIES else country
    return of_country in {None, found[1]} and found[0].upper() in _load_subdivision_codes()


@cache
def _load_subdivision_codes() -> frozenset[str]:
    import pycountry  # noqa: PLC0415 - slow to import, not always needed

    return frozenset(subdivision.code for subdivision in pycountry.subdivisions)


def normalize_city(text: str) -> str | None:
    """Return a city in lower case, letters only: "St. Louis" becomes "stlouis", "São Paulo" "sãopaulo"."""
    kept = keep_letters_and_marks(lower_text(text))
    return kept if any(character.isalpha() for character in kept) else None


_ZIP_DIGITS = 5


def is_plain_zip(text: str, country: str | None) -> bool:
    """Tell whether the text is five digits in the US, as nearly every ZIP is written."""
    return country == "us" and len(text) == _ZIP_DIGITS and text.isascii() and text.isdecimal()


def normalize_postal_code(text: str, country: str | None) -> str | None:
    """Return a postal code in lower case without spaces and dashes: "SW1A 1AA" becomes "sw1a1aa"; a US ZIP+4 its ZIP.

    country: ISO alpha-2, lower case; None when unknown, and then nine digits are a ZIP+4.
    None for a leading dash, for no digit at all, for under 2 or over 10 characters, and for what no US ZIP can be.
    """
    if is_plain_zip(text, country):
        return text
    written = write_digits_in_ascii(text).lower()
    if not written or category(written[0]) == "Pd":
        return None
    kept = _NOT_IN_POSTAL_CODE.sub("", written)
    if country == "us" or country in US_TERRITORIES:
        return _normalize_zip(_NOT_DIGIT.sub("", kept))
    if country in _DIGITS_ONLY_POSTAL_CODES:
        kept = _NOT_DIGIT.sub("", kept)
    elif country is None and len(kept) == 9 and kept.isdecimal():
        kept = kept[:5]
    is_code = _FEWEST_CHARACTERS <= len(kept) <= _MOST_CHARACTERS and not kept.isalpha()
    return kept if is_code else None


def _normalize_zip(digits: str) -> str | None:
    if len(digits) == 4:  # a number that lost its leading zero
        return "0" + digits
    return digits[:_ZIP_DIGITS] if len(digits) in {_ZIP_DIGITS, 9} else None
