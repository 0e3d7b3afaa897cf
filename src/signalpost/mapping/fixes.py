"""What to change, and where, for every warning and every reason: one sentence for whoever sends or configures."""

from collections.abc import Mapping

from signalpost.model.results import Reason, WarningCode

WARNING_FIXES: Mapping[WarningCode, str] = {
    "action_source_needs_more_fields": "If the conversion happened elsewhere, send that place as "
    "properties.action_source; events of apps and of messaging need an integration of their own.",
    "event_time_in_future": "Set the sender's clock, and send timestamp in UTC or with its offset, with sentAt.",
    "unsupported_hash": "Send the value in clear, or its SHA-256 as 64 hex digits; Signalpost hashes what is clear.",
    "invalid_email": "Send one plain address, such as jo@example.com, as context.traits.email, or leave it out.",
    "invalid_phone": "Send digits with the country code, such as +44 20 7946 0958, as context.traits.phone.",
    "phone_without_country_code": "Send the number with + and its country code, or context.traits.address.country "
    "beside it, or set default_phone_country on the destination.",
    "invalid_first_name": "Send the name as written in context.traits.firstName, or leave it out.",
    "invalid_last_name": "Send the name as written in context.traits.lastName, or leave it out.",
    "invalid_gender": 'Send "f" or "m", or the words female or male, as context.traits.gender; leave out all else.',
    "invalid_birthday": "Send a date with a four-digit year, such as 1990-01-31, as context.traits.birthday.",
    "invalid_city": "Send the city's name as context.traits.address.city, or leave it out.",
    "invalid_state": "Send the state's name or code as context.traits.address.state, or leave it out.",
    "invalid_postal_code": "Send it as text in context.traits.address.postalCode, and the country beside it in "
    "address.country.",
    "invalid_country": "Send two letters, such as GB, or the country's usual English name as "
    "context.traits.address.country.",
    "external_id_missing": "Send the field that the setting external_id_field names, or empty the setting, so that "
    "userId or anonymousId is used.",
    "invalid_external_id": "Send text or a whole number as the id: in userId, or where external_id_field points.",
    "invalid_client_ip_address": "Send the shopper's public address as context.ip, not that of a proxy or a server.",
    "invalid_fbc": "Copy the cookie _fbc unchanged to context.clientIds.fbc (fb.1.<milliseconds>.<fbclid>), or leave "
    "it out and send context.page.url with its fbclid.",
    "invalid_fbp": "Copy the cookie _fbp unchanged to context.clientIds.fbp (fb.1.<milliseconds>.<number>).",
    "invalid_lead_id": "Send Meta's own lead id, 15 or 16 digits, as text: "
    'integrations["Facebook Offline Conversions"].leadId.',
    "value_from_total": "Send the amount to report as properties.revenue; nothing to do if total is right.",
    "value_from_value": "Send the amount to report as properties.revenue; nothing to do if value is right.",
    "value_field_missing": "Send the property that the setting value_field names, or let the setting name another.",
    "value_coerced": "Send a JSON number, such as 39.95, without currency sign or separators; the currency has its own "
    "property.",
    "invalid_value": "Send a JSON number, such as 39.95 with a point, in the property that the value is taken from.",
    "invalid_currency": "Send three letters of ISO 4217, such as EUR, as properties.currency; without it USD is sent.",
    "products_not_array": "Send properties.products as a list of objects, even for one product.",
    "product_without_id": "Give each entry of properties.products a product_id, as your catalogue at Meta has it.",
    "invalid_quantity": "Send a whole number of 0 or more, such as 2, as the product's quantity.",
    "invalid_item_price": "Send a JSON number, such as 18.99, as the product's price.",
    "property_overridden": "Rename the property, or leave it out and let Signalpost compute the field.",
    "pii_in_properties": "Move the value to context.traits (email, phone, firstName, lastName, birthday) and take "
    "addresses out of page URLs.",
    "invalid_data_processing_options": 'Send [["LDU"], country, state] with whole numbers, such as [["LDU"], 1, 1000], '
    "or nothing.",
    "missing_client_user_agent": "Send the browser's user agent as context.userAgent; if the conversion was not on a "
    "website, say so in properties.action_source.",
    "missing_event_source_url": "Send the address of the page as context.page.url; if the conversion was not on a "
    "website, say so in properties.action_source.",
}

REASON_FIXES: Mapping[Reason, str] = {
    "destination_disabled": "Switch the destination on, if it should receive events.",
    "unsupported_type": "Send conversions as Track calls; for page views switch on page_view_events.",
    "integration_disabled": "Take the false for this destination, or for All, out of integrations, if it should "
    "receive the event.",
    "consent_missing": "Nothing, if consent was not given; else send true for every category of consent_categories in "
    "context.consent.categoryPreferences.",
    "missing_pixel_id": "Fill in the destination's pixel_id, then requeue what was rejected.",
    "missing_dataset_id": "Fill in the dataset id beside the event's name in the destination's tables, then requeue "
    "what was rejected.",
    "event_not_mapped": "Nothing, if the event is no conversion; else add its name to one of the destination's tables.",
    "event_name_too_long": "Shorten event to 50 characters, or map it to a standard event in standard_events.",
    "invalid_action_source": "Send one of website, email, app, phone_call, chat, physical_store, system_generated, "
    "business_messaging, other as properties.action_source, or leave it out.",
    "event_too_old": "Send events within 7 days (62 for physical_store), and check timestamp and the sender's clock.",
    "insufficient_match_keys": "Send who it was: context.traits.email or phone, or userId.",
    "missing_value": "Send a number as properties.revenue, such as 39.95.",
    "invalid_currency": "Send three letters of ISO 4217, such as EUR, as properties.currency, or leave it out for USD.",
    "mapping_failed": "Nothing in the call: look for mapping_failed in the log and report it.",
}
