"""The profile `mysql`: rows of a MySQL or MariaDB server, read over the one connection that the service has made.

The protocol has no form in which a server would send rows as bytes that somebody else can parse, so its client parses
them here, behind the lock: what a hostile server sends meets a process with one file folder and one connection.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pymysql
import pymysql.constants.FIELD_TYPE as KIND
import pymysql.converters
import pymysql.cursors

from penstock_guest.heavy.link import Link, LinkTls, Silent
from penstock_guest.heavy.programs import bounded
from penstock_guest.heavy.rows import escaped, write_lines

with contextlib.suppress(ImportError):  # of servers that want a password encrypted by their key; loaded before the lock
    import pymysql._auth
    from cryptography.hazmat.backends import default_backend
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: F401  # see above

    default_backend()

_BINARY: Final = 63  # the character set of bytes
_UNSIGNED: Final = 32
_FETCHED: Final = 1_000
# Codes whose words come from the query or the server's state; in those of others, values of rows may stand.
_OF_THE_QUERY: Final = frozenset(
    [
        *(1040, 1044, 1045, 1046, 1049, 1051, 1053, 1054, 1060, 1064, 1102, 1103, 1129, 1130, 1142, 1143, 1146, 1149),
        *(1203, 1205, 1213, 1226, 1227, 1248, 1305, 1317, 1356, 1370, 1698, 1927, 1969, 2003, 2006, 2013, 2014, 3024),
    ]
)
_PASSING: Final = frozenset([1040, 1053, 1129, 1203, 1205, 1213, 1226, 1927, 2003, 2006, 2013, 2014])
_QUOTED: Final = re.compile(r"\".*\"|'.*'|`.*`", re.DOTALL)
_NUMBER: Final = re.compile(r"(?<![A-Za-z0-9_])[-+]?[0-9][0-9.,:eE+-]*")
_INTEGERS: Final = {KIND.TINY: "int", KIND.SHORT: "int", KIND.INT24: "int", KIND.YEAR: "int", KIND.LONGLONG: "long"}
_DECIMAL_MAX: Final = 38


def answer(ask: dict[str, Any], _limits: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked over the link; what the server refuses is an answer, too: `failed`.

    Args:
        ask: `link`; `user`, `password`, `database`, `host`, `tls` (`verify`, `require`, `off`), `ca` (PEM) or
            `ca_file`; `timeout_s` of a statement; `session`: statements to begin with. Besides, either `look`: queries
            by name, each answered with its columns and its first row as texts; or `read`: a query whose rows are
            written to the file `output`.
    """
    try:
        with _connected(ask) as connection:
            if "look" in ask:
                return {name: _look(connection, sql) for name, sql in ask["look"].items()}
            return _read(connection, ask["read"], ask["output"])
    except (pymysql.err.Error, ssl.SSLError, Silent, ConnectionError) as error:
        return {"failed": _described(error)}


def describe(error: Exception) -> dict[str, Any]:
    """Return what went wrong here, without what the server has sent."""
    return {"code": "bug", "message": f"reading the protocol failed: {type(error).__name__}"}


@contextlib.contextmanager
def _connected(ask: dict[str, Any]) -> Iterator[Any]:
    connection = pymysql.Connection(
        host=ask["host"],
        user=ask["user"],
        password=ask["password"],
        database=ask["database"],
        charset="utf8mb4",
        conv=dict(pymysql.converters.encoders),  # without decoders, values stay the bytes that they are
        ssl=None if ask["tls"] == "off" else _tls(ask),
        ssl_disabled=ask["tls"] == "off",
        local_infile=False,
        defer_connect=True,
        program_name="penstock",
    )
    connection.connect(Link(ask["link"]))
    try:
        with connection.cursor() as cursor:
            for statement in (_bound(connection, ask["timeout_s"]), *ask["session"]):
                cursor.execute(statement)
        yield connection
    finally:
        with contextlib.suppress(pymysql.err.Error, OSError):
            connection._force_close()  # noqa: SLF001  # `close` would read what is left of an answer


def _bound(connection: Any, timeout_s: int) -> str:
    """Return the statement that bounds how long others take; the two servers have different words for it."""
    if "MariaDB" in str(connection.server_version):
        return f"SET SESSION max_statement_time = {timeout_s}"
    return f"SET SESSION max_execution_time = {timeout_s * 1000}"


def _tls(ask: dict[str, Any]) -> ssl.SSLContext:
    context = LinkTls(ssl.PROTOCOL_TLS_CLIENT)
    if ask["tls"] == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ask.get("ca"):
        context.load_verify_locations(cadata=ask["ca"])
    else:
        context.load_verify_locations(cafile=ask["ca_file"])
    return context


def _look(connection: Any, sql: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        found = cursor.fetchone()
        row = None if found is None else [None if value is None else _text(value) for value in found]
        return {"columns": [[field.name, _type(field)] for field in cursor._result.fields], "row": row}  # noqa: SLF001  # `description` leaves signs and character sets out


def _read(connection: Any, sql: str, output: str) -> dict[str, int]:
    with connection.cursor(pymysql.cursors.SSCursor) as cursor:
        cursor.execute(sql)
        fields = cursor._result.fields  # noqa: SLF001  # see above
        return write_lines(
            output,
            _rows(cursor),
            names=[field.name for field in fields],
            forms=[_form(field) for field in fields],
        )


def _rows(cursor: Any) -> Iterator[Sequence[Any]]:
    while rows := cursor.fetchmany(_FETCHED):
        yield from rows


def _type(field: Any) -> str:
    """Return the type of a column, as tables of the lake have it."""
    kind, unsigned = field.type_code, bool(field.flags & _UNSIGNED)
    if kind == KIND.LONGLONG and unsigned:
        return "decimal(20, 0)"
    if kind == KIND.LONG:
        return "long" if unsigned else "int"
    if kind in _INTEGERS:
        return _INTEGERS[kind]
    if kind == KIND.BIT:
        return "boolean" if field.length == 1 else "decimal(20, 0)"
    if kind in (KIND.DECIMAL, KIND.NEWDECIMAL):
        digits = field.length - (field.scale > 0) - (not unsigned)
        return f"decimal({digits}, {field.scale})" if digits <= _DECIMAL_MAX else "string"
    if kind in (KIND.FLOAT, KIND.DOUBLE):
        return "float" if kind == KIND.FLOAT else "double"
    moments = {KIND.DATE: "date", KIND.NEWDATE: "date", KIND.DATETIME: "timestamp", KIND.TIMESTAMP: "timestamptz"}
    if kind in moments:
        return moments[kind]
    if kind == KIND.GEOMETRY or (kind in _BYTES and field.charsetnr == _BINARY):
        return "binary"
    return "string"


_BYTES: Final = (
    *(KIND.VARCHAR, KIND.VAR_STRING, KIND.STRING, KIND.TINY_BLOB, KIND.BLOB, KIND.MEDIUM_BLOB, KIND.LONG_BLOB),
)


def _form(field: Any) -> Callable[[Any], Any]:
    """Return what makes a JSON value of a column's values."""
    kind = _type(field)
    if field.type_code == KIND.BIT:
        return (lambda bits: bits == b"\x01") if kind == "boolean" else (lambda bits: str(int.from_bytes(bits, "big")))
    forms: dict[str, Callable[[Any], Any]] = {
        "int": int,
        "long": int,
        "float": float,
        "double": float,
        "binary": escaped,
        "date": _moment,
        "timestamp": _moment,
        "timestamptz": _moment_utc,
    }
    return forms.get(kind, _text)


def _moment(value: Any) -> str | None:
    """Return a date or time; a date that is none, such as 0000-00-00, is null."""
    text = _text(value)
    return None if text.startswith("0000") or text[5:7] == "00" or text[8:10] == "00" else text


def _moment_utc(value: Any) -> str | None:
    text = _moment(value)
    return None if text is None else f"{text}+00:00"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _described(error: Exception) -> dict[str, Any]:
    """Return a failure of the server or of the connection: its code, its words, and whether it may pass."""
    if isinstance(error, ssl.SSLError):
        return {"code": 0, "message": bounded(f"TLS failed: {getattr(error, 'verify_message', '') or error.reason}")}
    if isinstance(error, Silent | ConnectionError):
        return {"code": 2013, "message": bounded(str(error)), "passes": True}
    code, message = (*error.args, "")[:2] if error.args else (0, "")
    if not isinstance(code, int):
        code, message = 0, code
    if code not in _OF_THE_QUERY:
        message = _NUMBER.sub("...", _QUOTED.sub("...", str(message)))
    return {"code": code, "message": bounded(str(message)), "passes": code in _PASSING}
