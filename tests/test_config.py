"""signalpost.toml and SIGNALPOST_*: what they mean, and one helpful sentence for each way to get them wrong."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from signalpost.config.building import build_destinations, build_sources, check_settings
from signalpost.config.reading import read_config
from signalpost.config.sections import Config
from signalpost.mapping.destinations.conversions_api import ConversionsApiSettings
from signalpost.model.errors import ConfigError
from signalpost.vault import generate_master_key

KEY = "wk_website_0123456789abcdef"
TOKEN = "EAAsecrettoken0123456789"
GOOD = f"""
[server]
port = 9000

[[sources]]
name = "website"
write_keys = ["{KEY}"]
destinations = ["main-pixel"]

[[destinations]]
name = "main-pixel"
type = "facebook-conversions-api"
pixel_id = "1234567890"
access_token = "{TOKEN}"
standard_events = {{ "Signed Up" = "CompleteRegistration" }}
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("SIGNALPOST_SERVER__PORT", "SIGNALPOST_META__BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def write(text: str, name: str = "signalpost.toml") -> Path:
    file = Path(name)
    file.write_text(text)
    return file


def use(text: str) -> None:
    """Read a file and put it in force, as the gateway does at its start."""
    config = read_config(write(text))
    destinations = build_destinations(config)
    build_sources(config, destinations)


def test_a_whole_file():
    """Sections, sources and destinations are read, and each destination gets the checked settings of its type."""
    config = read_config(write(GOOD))
    (destination,) = build_destinations(config)
    (source,) = build_sources(config, [destination])
    assert (config.server.port, config.server.console_port, config.meta.api_version) == (9000, 8081, "v26.0")
    assert (destination.name, destination.type.slug, destination.is_enabled) == (
        "main-pixel",
        "facebook-conversions-api",
        True,
    )
    assert destination.settings.access_token == SecretStr(TOKEN)
    assert destination.settings.standard_events == {"Signed Up": "CompleteRegistration"}
    assert (source.name, source.write_keys, source.destinations) == ("website", (KEY,), (destination,))


def test_no_file_at_all():
    """Without a file, and none asked for, everything has its default."""
    assert read_config() == Config()
    assert read_config().server.port == 8080


def test_the_usual_file_is_found():
    """signalpost.toml in the working folder is read without being asked for."""
    write("[server]\nport = 7000\n")
    assert read_config().server.port == 7000


WRONG = [
    ("unknown_key", "[server]\nprot = 1", r"server\.prot: there is no such setting; did you mean port\?"),
    ("unknown_key_like_no_other", "[log]\nzzz = 1", r"log\.zzz: there is no such setting; there are level, format"),
    ("unknown_section", "[delivry]\nx = 1", r"delivry: there is no such setting; did you mean delivery\?"),
    ("not_a_section", "server = 1", r"server: must be a table of settings"),
    ("text_for_a_number", '[server]\nport = "x"', r"server\.port: must be a valid integer"),
    ("port_too_large", "[server]\nport = 70000", r"server\.port: must be less than or equal to 65535"),
    ("number_for_text", "[server]\nhost = 1", r"server\.host: must be text, in quotes"),
    ("not_one_of_them", '[log]\nlevel = "loud"', r"log\.level: must be 'debug', 'info', 'warning' or 'error'"),
    (
        "foreign_http",
        '[meta]\nbase_url = "http://evil.example"',
        r"meta\.base_url: must begin with https://",
    ),
    ("version", '[meta]\napi_version = "26"', r'meta\.api_version: must look like "v26\.0"'),
    ("no_sources_list", 'sources = "x"', r"sources: must be a list"),
    ("source_without_keys", '[[sources]]\nname = "a"', r"sources\[0\]\.write_keys: is required"),
    ("source_key_typo", '[[sources]]\nname = "a"\nwrite_key = []', r"write_key: .* did you mean write_keys\?"),
    ("no_write_keys", GOOD.replace(f'"{KEY}"', ""), r"write_keys: must hold at least one write key"),
    ("bad_write_key", GOOD.replace(KEY, "short"), r"write_keys\[0\]: must be 16 to 64 letters, digits, - or _"),
    ("bad_toml", "[server\nport = 1", r"signalpost\.toml: this is not valid TOML: .*line 1"),
    ("no_name", "[[destinations]]\ntype = 'x'", r"destinations\[0\]\.name: must be a text that names"),
    ("no_type", "[[destinations]]\nname = 'x'", r"\.type: must be one of facebook-conversions-api, facebook-offline"),
    (
        "type_typo",
        GOOD.replace("facebook-conversions-api", "facebook-conversion-api"),
        r"did you mean facebook-conversions-api\?",
    ),
    ("enabled", GOOD + 'enabled = "no"', r"destinations\[0\]\.enabled: must be true or false"),
    ("bad_pixel_id", GOOD.replace('"1234567890"', '"12"'), r"pixel_id: must be the 5 to 20 digits"),
    ("pixel_id_number", GOOD.replace('"1234567890"', "1234567890"), r"pixel_id: must be text, in quotes"),
    (
        "setting_typo",
        GOOD + 'value_feild = "value"',
        r"value_feild: there is no such setting; did you mean value_f",
    ),
    ("standard_event", GOOD.replace("CompleteRegistration", "SignUp"), r"standard_events\.Signed Up: must be one of"),
    (
        "unknown_destination",
        GOOD.replace('["main-pixel"]', '["main-pixl"]'),
        r"main-pixl\"; did you mean main-pixel\?",
    ),
    ("no_destination", f'[[sources]]\nname="a"\nwrite_keys=["{KEY}"]\ndestinations=["b"]', r"; none is configured"),
    ("two_destinations", GOOD + GOOD[GOOD.index("[[dest") :], r'destinations: "main-pixel" is used twice'),
    ("two_sources", GOOD + GOOD[GOOD.index("[[sour") : GOOD.index("[[dest")], r'sources: "website" is used twice'),
    ("missing_secret_file", GOOD.replace("access_token =", "access_token_file ="), r"access_token_file: cannot read"),
    ("two_tokens", GOOD + 'access_token_file = "t"', r"access_token and access_token_file are both given; keep one"),
    ("secret_file_number", GOOD.replace(f'access_token = "{TOKEN}"', "access_token_file = 1"), r"the name of a file"),
]


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_file(text, message):
    """One sentence says which key, why, and what would be right; it never shows a token or a write key."""
    with pytest.raises(ConfigError) as raised:
        use(text)
    shown = str(raised.value)
    assert re.search(message, shown), shown
    assert KEY not in shown
    if not shown.startswith("destinations[0]: access_token_file: cannot read"):  # there the file's name is the text
        assert TOKEN not in shown
    assert len(shown.splitlines()) == (2 if "write_key:" in shown else 1)
    assert raised.value.__cause__ is None


def test_one_key_of_two_sources():
    """A write key belongs to one source; the message does not show it."""
    other = GOOD[GOOD.index("[[sour") : GOOD.index("[[dest")].replace('"website"', '"shop"')
    with pytest.raises(ConfigError, match="a write key is used twice") as raised:
        use(GOOD + other)
    assert KEY not in str(raised.value)


def test_every_fault_is_told():
    """A file with three faults is told all three at once."""
    with pytest.raises(ConfigError) as raised:
        read_config(write('[server]\nport = "x"\nhsot = "y"\n[log]\nlevel = "loud"'))
    assert [line.split(": ")[1] for line in str(raised.value).splitlines()] == [
        "server.port",
        "server.hsot",
        "log.level",
    ]


def test_a_missing_file():
    """A file that was asked for and is not there is told, with what to do."""
    with pytest.raises(
        ConfigError, match=r"nowhere\.toml: there is no such file; write one .* or try `signalpost demo`"
    ):
        read_config(Path("nowhere.toml"))


def test_an_unreadable_file():
    """A folder, or bytes that are no text, in place of the file."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_config(Path())
    Path("latin.toml").write_bytes(b'[log]\nlevel = "\xe9"')
    with pytest.raises(ConfigError, match="cannot be read: it is not UTF-8 text"):
        read_config(Path("latin.toml"))


@pytest.mark.parametrize(
    "url",
    [
        "http://graph.facebook.com",
        "http://localhost.evil.example",
        "http://localhost:80@evil.example",
        "http://127.0.0.1:x@evil.example/",
        "https://user@evil.example",
        "https://@evil.example",
        "https://",
        "https://graph.facebook.com?x=1",
        "https://graph.facebook.com/#x",
        "ftp://localhost",
        "localhost:8090",
        "http://[::1",
        "",
    ],
)
def test_hosts_that_would_get_the_token(url):
    """Tokens go over https, or to this very machine; an address that hides its host is refused."""
    with pytest.raises(ConfigError, match=r"meta\.base_url: must begin with https://"):
        read_config(write(f'[meta]\nbase_url = "{url}"'))


@pytest.mark.parametrize(
    "url",
    [
        "https://graph.facebook.com",
        "https://h:8443/x",
        "http://localhost:8090",
        "http://127.0.0.1",
        "http://[::1]:8090/",
    ],
)
def test_hosts_that_may_have_it(url):
    """Any https host, and http on this machine."""
    assert read_config(write(f'[meta]\nbase_url = "{url}"')).meta.base_url == url


# --- The environment ---


def test_the_environment_beats_the_file(monkeypatch):
    """SIGNALPOST_<SECTION>__<KEY> wins over the file, key by key."""
    monkeypatch.setenv("SIGNALPOST_SERVER__PORT", "9999")
    config = read_config(write('[server]\nport = 1\nhost = "::"'))
    assert (config.server.port, config.server.host) == (9999, "::")


def test_a_file_named_by_the_environment(monkeypatch):
    """SIGNALPOST_<SECTION>__<KEY>_FILE names a file that holds the value, without its line break."""
    write("http://127.0.0.1:8090\n", "url")
    monkeypatch.setenv("SIGNALPOST_META__BASE_URL_FILE", "url")
    assert read_config().meta.base_url == "http://127.0.0.1:8090"


def test_both_forms_of_a_variable(monkeypatch):
    """A variable and its _FILE form together are a contradiction."""
    write("1", "port")
    monkeypatch.setenv("SIGNALPOST_SERVER__PORT", "1")
    monkeypatch.setenv("SIGNALPOST_SERVER__PORT_FILE", "port")
    with pytest.raises(ConfigError, match=r"SERVER__PORT.* are both given; keep one"):
        read_config()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SIGNALPOST_SERVER__PROT", "1", r"SIGNALPOST_SERVER__PROT: .* did you mean SIGNALPOST_SERVER__PORT\?"),
        ("SIGNALPOST_SERVER__PORT", "x", "SIGNALPOST_SERVER__PORT: must be a valid integer"),
        ("SIGNALPOST_SERVER__PORT_FILE", "nowhere", "SIGNALPOST_SERVER__PORT_FILE: cannot read nowhere: No such file"),
        ("SIGNALPOST_SERVER__PORT_FILE", "/dev/null", "SIGNALPOST_SERVER__PORT_FILE: /dev/null is empty"),
        ("SIGNALPOST_SOURCES__NAME", "x", "SIGNALPOST_SOURCES__NAME: there is no such setting"),
    ],
)
def test_a_wrong_variable(monkeypatch, name, value, message):
    """The message names the variable, not the file."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message) as raised:
        read_config()
    assert "signalpost.toml" not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["SIGNALPOST_PORT", "SIGNALPOST_SERVICE_HOST", "SIGNALPOST_SERVER", "SIGNALPOST_SOURCES"]
)
def test_variables_of_others(monkeypatch, name):
    """Without the double underscore a variable is not ours: container platforms set SIGNALPOST_PORT by themselves."""
    monkeypatch.setenv(f"SIGNALPOST_{name}", "tcp://10.0.0.1:8080")
    assert read_config() == Config()


def test_a_configuration_built_by_hand_ignores_the_environment(monkeypatch):
    """Only read_config looks at the environment: a demo never writes into the data folder of a real gateway."""
    monkeypatch.setenv("SIGNALPOST_SERVER__DATA_DIR", "/var/lib/signalpost")
    assert Config.model_validate({"server": {"data_dir": "mine"}}).server.data_dir == Path("mine")


# --- Secrets ---


def test_a_token_in_a_file_of_its_own():
    """access_token_file is read relative to the folder of the configuration, without its line break."""
    Path("folder").mkdir()
    write(f"{TOKEN}\n", "folder/token.txt")
    config = read_config(write(GOOD.replace(f'access_token = "{TOKEN}"', 'access_token_file = "token.txt"')))
    (destination,) = build_destinations(config, Path("folder"))
    assert destination.settings.access_token == SecretStr(TOKEN)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "Is a directory"), (b" \n", "is empty"), (b"\xff", "it is not UTF-8 text")]
)
def test_a_secret_file_that_cannot_be_used(content, reason):
    """The message names the setting, the file and the reason."""
    if content is None:
        Path("token.txt").mkdir()
    else:
        Path("token.txt").write_bytes(content)
    text = GOOD.replace(f'access_token = "{TOKEN}"', 'access_token_file = "token.txt"')
    with pytest.raises(ConfigError, match=rf"destinations\[0\]: access_token_file: .*token\.txt.*{reason}"):
        use(text)


def test_no_secret_is_shown():
    """Tokens and write keys are in no repr and no dump of the configuration, not even under a mistyped key."""
    config = read_config(write(GOOD.replace("access_token", "acces_token")))
    shown = [repr(config), str(config), config.model_dump_json(), repr(config.model_dump())]
    config = read_config(write(GOOD))
    destinations = build_destinations(config)
    shown += [repr(config), config.model_dump_json(), repr(destinations), repr(build_sources(config, destinations))]
    shown += [destination.settings.model_dump_json() for destination in destinations]
    for text in shown:
        assert TOKEN not in text
    for text in (repr(config), repr(build_sources(config, destinations))):
        assert KEY not in text


@pytest.mark.parametrize("value", [[TOKEN], {"a": TOKEN}, 1])
def test_a_token_of_another_type(value):
    """What stands where a token belongs is not quoted."""
    with pytest.raises(ConfigError, match="access_token: must be text, in quotes") as raised:
        check_settings(ConversionsApiSettings, {"access_token": value}, "here")
    assert TOKEN not in str(raised.value)


def test_the_master_key_comes_from_the_environment(monkeypatch):
    """As text or as the name of a file; a bad one is told without being shown; the file is no place."""
    key = generate_master_key()
    assert read_config(write(GOOD)).master_key is None
    monkeypatch.setenv("SIGNALPOST_MASTER_KEY_FILE", str(write(key, "key")))
    config = read_config()
    assert config.master_key == SecretStr(key)
    assert key not in f"{config!r} {config.model_dump()}"
    monkeypatch.setenv("SIGNALPOST_MASTER_KEY", key)
    with pytest.raises(ConfigError, match="both given"):
        read_config()
    monkeypatch.delenv("SIGNALPOST_MASTER_KEY_FILE")
    monkeypatch.setenv("SIGNALPOST_MASTER_KEY", "tooshort")
    with pytest.raises(ConfigError, match="32 random bytes") as raised:
        read_config()
    assert "tooshort" not in str(raised.value)
    monkeypatch.delenv("SIGNALPOST_MASTER_KEY")
    with pytest.raises(ConfigError, match="belongs in the environment"):
        read_config(write(f'master_key = "{key}"'))


def test_proxies_and_public_addresses(monkeypatch):
    """Lists are written with commas in the environment; an address with a path or credentials is refused."""
    monkeypatch.setenv("SIGNALPOST_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7")
    assert read_config().server.trusted_proxies == ("10.0.0.0/8", "192.0.2.7")
    monkeypatch.delenv("SIGNALPOST_SERVER__TRUSTED_PROXIES")
    wrong = {'trusted_proxies = ["proxy"]': '"proxy" is none', 'public_url = "https://x/y"': "a scheme and a host"}
    for text, message in wrong.items():
        with pytest.raises(ConfigError, match=message):
            read_config(write(f"[server]\n{text}\n"))
