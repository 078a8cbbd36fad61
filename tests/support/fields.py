"""Response fields as the connection collects them, line by line."""

from reuse_proxy.http.headers import Fields, ResponseFields


def read_response_fields(raw: Fields) -> ResponseFields:
    """Take in every line, and what Connection says at the end."""
    fields = ResponseFields()
    for name, value in raw:
        fields.add(name, value)
    fields.finish()
    return fields
