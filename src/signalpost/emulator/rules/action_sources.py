"""Checks of what an action_source needs besides the fields every event needs.

Sources: "Server Event Parameters" (website), "Conversions API for App Events", "Conversions API for Business
Messaging".
"""

from signalpost.emulator.rules.findings import Finding, Findings, Subject

APP_DATA_MISSING = (Finding("app_data_missing", "app_data", "An app event needs app_data"),)
TRACKING_FLAG_MISSING = (
    Finding("app_data_missing", "app_data.advertiser_tracking_enabled", "advertiser_tracking_enabled is required"),
)
EXTINFO_INVALID = (
    Finding(
        "app_extinfo_invalid",
        "app_data.extinfo",
        "extinfo must be 16 strings: the first a2 or i2, the fifth the OS version",
    ),
)
EXTINFO_LENGTH = 16
EXTINFO_PLATFORMS = frozenset({"a2", "i2"})
EXTINFO_OS_VERSION = 4

MESSAGING_EVENTS = frozenset({"LeadSubmitted", "Purchase", "AddToCart", "InitiateCheckout", "ViewContent"})
MESSAGING_EVENT_UNKNOWN = (
    Finding("messaging_event_unknown", "event_name", "Not an event that business messaging is reported to take"),
)
CHANNEL_MISSING = (
    Finding("messaging_channel_missing", "messaging_channel", "Must be whatsapp, messenger or instagram"),
)
# For each channel, groups of keys of user_data of which one is needed, and the rule that says so.
MESSAGING_KEYS: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "whatsapp": (
        (("ctwa_clid",), "messaging_ctwa_clid_missing"),
        (("page_id", "whatsapp_business_account_id"), "messaging_waba_missing"),
    ),
    "messenger": ((("page_id",), "messaging_page_id_missing"),),
    "instagram": (
        (("ig_sid",), "messaging_ig_sid_missing"),
        (("ig_account_id",), "messaging_ig_account_missing"),
    ),
}

URL_MISSING = Finding("website_field_missing", "event_source_url", "A website event needs event_source_url")
URL_NOT_HTTP = Finding("website_field_missing", "event_source_url", "event_source_url must begin with http or https")
AGENT_MISSING = Finding(
    "website_field_missing", "user_data.client_user_agent", "A website event needs client_user_agent"
)


def check_app_data(subject: Subject) -> Findings:
    if subject.action_source != "app":
        return ()
    app_data = subject.event.get("app_data")
    if app_data is None:
        return APP_DATA_MISSING
    if type(app_data) is not dict or not _is_extinfo(app_data.get("extinfo")):
        return EXTINFO_INVALID
    return TRACKING_FLAG_MISSING if app_data.get("advertiser_tracking_enabled") is None else ()


def check_messaging(subject: Subject) -> Findings:
    if subject.action_source != "business_messaging":
        return ()
    if subject.name not in MESSAGING_EVENTS:
        return MESSAGING_EVENT_UNKNOWN
    channel = subject.event.get("messaging_channel")
    if type(channel) is not str or channel not in MESSAGING_KEYS:
        return CHANNEL_MISSING
    return tuple(
        Finding(rule, f"user_data.{keys[0]}", f"{channel} needs {' or '.join(keys)}")
        for keys, rule in MESSAGING_KEYS[channel]
        if not any(subject.user_data.get(key) for key in keys)
    )


def check_website(subject: Subject) -> Findings:
    if subject.action_source != "website":
        return ()
    url = subject.event.get("event_source_url")
    if type(url) is str and url.startswith(("https://", "http://")):
        findings: Findings = ()
    else:
        findings = (URL_NOT_HTTP,) if url else (URL_MISSING,)
    return findings if subject.user_data.get("client_user_agent") else (*findings, AGENT_MISSING)


def _is_extinfo(extinfo: object) -> bool:
    return (
        isinstance(extinfo, list)
        and len(extinfo) == EXTINFO_LENGTH
        and all(isinstance(entry, str) for entry in extinfo)
        and extinfo[0] in EXTINFO_PLATFORMS
        and extinfo[EXTINFO_OS_VERSION] != ""
    )
