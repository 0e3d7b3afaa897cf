"""Whether a database file is this program's to use: its application id, and the number of its schema."""

import apsw

from signalpost.model.errors import ConfigError, NewerDataFolder


def check_owner(connection: apsw.Connection, application_id: int, newest: int, what: str) -> None:
    """Raise ConfigError or NewerDataFolder unless this program may use the file.

    newest: the highest schema that it knows. what: the file's purpose, for people.
    Reads only: a file that is refused stays as it was.
    """
    application, schema = connection.pragma("application_id"), connection.pragma("user_version")
    if application != application_id and (
        application or schema or connection.execute("SELECT 1 FROM sqlite_schema").get
    ):
        raise ConfigError(
            f"{connection.filename} is not a Signalpost {what}. Name another data folder or move the file away."
        )
    if schema > newest:
        raise NewerDataFolder(
            f"{connection.filename} has schema {schema}, written by a newer Signalpost; this one knows up to {newest}."
            " Start the newer program. The file was not changed."
        )
    if schema < 0:
        raise ConfigError(
            f"{connection.filename} is damaged: no Signalpost ever wrote schema {schema}. Restore the latest backup."
        )
