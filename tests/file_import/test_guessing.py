"""What columns mean, guessed from their names and values; what can't be guessed is asked."""

import pytest

from signalpost.file_import.guessing import complete_plan, find_missing, guess_columns
from signalpost.file_import.plan import Plan, check_plan, format_plan, read_plan, write_plan
from signalpost.file_import.tables import ImportFailed


@pytest.mark.parametrize(
    ("columns", "row", "expected"),
    [
        (
            ["Order Number", "E-Mail", "Telefon", "Vorname", "Nachname", "PLZ", "Ort", "Land", "Betrag", "Datum"],
            ["R-1", "a@b.co", "+49 151 1", "Ada", "L", "10115", "Berlin", "DE", "12,50", "20.11.2026"],
            {
                "order_id": "Order Number", "email": "E-Mail", "phone": "Telefon", "first_name": "Vorname",
                "last_name": "Nachname", "postal_code": "PLZ", "city": "Ort", "country": "Land", "value": "Betrag",
                "time": "Datum",
            },
        ),
        (  # a shop's export of orders: “Name” is the order's number, “Billing Name” the customer's
            ["Name", "Email", "Paid at", "Currency", "Total", "Billing Name", "Billing City", "Billing Zip", "Phone"],
            ["#1001", "a@b.co", "2026-11-20 08:30:00 -0500", "USD", "39.95", "Ada L", "Boston", "02108", "+1 401 1"],
            {
                "order_id": "Name", "email": "Email", "time": "Paid at", "currency": "Currency", "value": "Total",
                "name": "Billing Name", "city": "Billing City", "postal_code": "Billing Zip", "phone": "Phone",
            },
        ),
        (  # a customer system's export of leads
            ["Lead ID", "firstName", "lastName", "emailAddress", "createdAt", "Deal Value"],
            ["123456789012345", "Ada", "L", "a@b.co", "2026-11-20T08:30:00Z", "100"],
            {
                "lead_id": "Lead ID", "first_name": "firstName", "last_name": "lastName", "email": "emailAddress",
                "time": "createdAt", "value": "Deal Value",
            },
        ),
        (["who", "when"], ["a@b.co", "2026-11-20"], {"email": "who", "time": "when"}),
        (["who", "from", "to"], ["a@b.co", "2026-11-20", "2026-11-21"], {"email": "who"}),
        (["email", "time"], ["yes", "2026-11-20"], {"time": "time"}),  # a consent, not an address
    ],
)  # fmt: skip
def test_guesses(columns, row, expected):
    """By the names in several languages, and by the values where names are silent or mislead."""
    assert guess_columns(columns, [row]) == expected


COLUMNS = ("email", "time", "total")


def complete(*rows, plan=None):
    return complete_plan(plan or Plan(guess_columns(COLUMNS, rows)), COLUMNS, rows)


def test_what_the_values_show():
    """The order of dates, the decimal mark, the currency; and the event that is sent when no column names it."""
    plan = complete(["a@b.co", "20/11/2026", "12,50 €"])
    assert (plan.dates, plan.decimal) == ("day-first", "comma")
    assert plan.constants == {"event": "Order Completed", "currency": "EUR"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["a@b.co", "03/04/2026", "1"]], r"could begin with the day or the month; .* --dates day-first"),
        ([["a@b.co", "20/04/2026", "1"], ["a@b.co", "04/20/2026", "1"]], "some|others with the month first"),
        ([["a@b.co", "2026-11-20", "1.50"], ["a@b.co", "2026-11-20", "1,50"]], "--decimal point or comma"),
    ],
)
def test_what_is_not_guessed(rows, message):
    """Two readings: the person is asked, and told how to answer."""
    with pytest.raises(ImportFailed, match=message):
        complete(*rows)


def test_an_answer_is_not_asked_for_again():
    """What a plan says is not looked for in the values."""
    plan = Plan({"email": "email", "time": "time", "value": "total"}, dates="month-first", decimal="point")
    assert complete(["a@b.co", "03/04/2026", "1,50"], plan=plan).dates == "month-first"


def test_a_plan_that_gives_no_event():
    """Without a time or without anybody there is nothing to send; the message lists the columns."""
    assert "no column holds the time of the event (there are email)" in str(
        find_missing(Plan({"email": "email"}), ["email"])
    )
    assert "no column tells who the customer is" in str(find_missing(Plan({"time": "time"}), ["time"]))
    assert find_missing(Plan({"time": "time", "lead_id": "l"}), ["time", "l"]) is None


def test_a_plan_file_comes_back_as_it_was_written(tmp_path):
    """Odd names of columns survive, and what is not sent is offered."""
    plan = Plan(
        {"email": 'The "e-mail"\\', "time": "Größe\t1"}, {"event": "Visited"}, {"Store nr.": "store"}, "Europe/Berlin",
        "month-first", "comma",
    )  # fmt: skip
    file = tmp_path / "columns.toml"
    write_plan(plan, ["Notes"], file)
    assert read_plan(file) == plan
    assert '# "Notes" = "Notes"' in format_plan(plan, ["Notes"])
    with pytest.raises(ImportFailed, match="is there already"):
        write_plan(plan, [], file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[columns]\nemial = "x"', "there is no field emial; did you mean email?"),
        ("[columns\n", "is not valid TOML"),
        ("[colums]\n", "unknown field `colums`"),
        ('[reading]\ndates = "european"', "Invalid enum value 'european'"),
    ],
)
def test_a_plan_file_with_a_mistake(tmp_path, text, message):
    """The message names the file and the mistake."""
    file = tmp_path / "columns.toml"
    file.write_text(text)
    with pytest.raises(ImportFailed, match=message):
        read_plan(file)


def test_a_plan_for_another_file():
    """A column that is not there is told, with one that could be meant; so is a time zone that is none."""
    with pytest.raises(ImportFailed, match=r"no column “E-Mail” \(for email\); did you mean “Email”\?"):
        check_plan(Plan({"email": "E-Mail"}), ["Email", "Time"])
    with pytest.raises(ImportFailed, match=r"no time zone “Berlin”; it is written like Europe/Berlin"):
        check_plan(Plan(timezone="Berlin"), ["Email"])
