"""The exceptions. What can be expected (a bad call, a discarded event, Meta's refusal) is a value and not here.

SignalpostError
├── ConfigError         a setting is wrong: says which, why, and what would be right
├── NewerDataFolder     a newer program wrote the data: start that one
├── SecretUnreadable    a stored secret can't be opened: the master key is missing or is another one
├── SettingsUnavailable a change of the settings was not stored; try again later
├── QueueUnavailable    nothing was stored and nothing may be acknowledged; try again later
└── LeaseLost           somebody else has leased the event meanwhile: leave it to them
"""


class SignalpostError(Exception):
    """Anything that stops Signalpost from doing its work; the message is written for the operator."""


class ConfigError(SignalpostError):
    """The configuration can't be used. The message names the key, the fault and the remedy; it never shows a secret."""


class NewerDataFolder(SignalpostError):
    """A file of the data folder was written by a newer program. It is left as it was."""


class SecretUnreadable(SignalpostError):
    """A stored secret can't be opened. The message says which, why and what to do; it never shows a key."""


class SettingsUnavailable(SignalpostError):
    """The settings store could not make a change durable, so it is not in force either."""


class QueueUnavailable(SignalpostError):
    """The queue could not make a change durable. Nothing of the request may be acknowledged."""


class LeaseLost(SignalpostError):
    """A lease had ended, and its events were leased again; whoever held it must not send them."""
