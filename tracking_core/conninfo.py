"""The text forms of a PostgreSQL connection, read and written without a driver.

The syntax is libpq's (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING): URIs and
`keyword=value` lists. The driver is not asked because importing it costs more than everything else a job does at its
start. No message holds a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tracking_core.process.interrupts import load

KEYWORDS = frozenset(
    """application_name channel_binding client_encoding connect_timeout dbname fallback_application_name gssdelegation
    gssencmode gsslib host hostaddr keepalives keepalives_count keepalives_idle keepalives_interval krbsrvname
    load_balance_hosts max_protocol_version min_protocol_version oauth_client_id oauth_client_secret oauth_issuer
    oauth_scope options passfile password port replication require_auth requirepeer scram_client_key scram_server_key
    service ssl_max_protocol_version ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir
    sslkey sslkeylogfile sslmode sslnegotiation sslpassword sslrootcert sslsni target_session_attrs tcp_user_timeout
    user""".split()  # noqa: SIM905 - a table of words reads better than one word a line
)
"""What libpq 18 accepts; the driver's own libpq may be older and reject the newest of them."""

SECRET_KEYWORDS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
URI_SCHEMES = ("postgresql://", "postgres://")

_PAIR = r"(?s)\s*([^\s=]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|)(?=\s|\Z)"
_ESCAPED = r"(?s)\\(.)"
_PLAIN = r"[^\s'\\]+"
_MAX_PORT = 65535


def parse_uri(text: str) -> dict[str, str]:
    """Return the keywords of a `postgresql://` URI; ValueError, without any of its text, when it is malformed."""
    scheme = next(scheme for scheme in URI_SCHEMES if text.startswith(scheme))
    rest, _, query = text[len(scheme) :].partition("?")
    authority, _, dbname = rest.partition("/")
    userinfo, at, hosts = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    found: dict[str, str] = {}
    if at and user:
        found["user"] = _decoded(user)
    if colon:
        found["password"] = _decoded(password)
    if hosts:
        found |= _parse_hosts(hosts)
    if dbname:
        found["dbname"] = _decoded(dbname)
    for parameter in filter(None, query.split("&")):
        keyword, equals, value = parameter.partition("=")
        if not equals:
            raise ValueError("a parameter after the '?' has no '='")
        if (keyword, value) == ("ssl", "true"):
            keyword, value = "sslmode", "require"
        found[_decoded(keyword)] = _decoded(value)
    return found


def _parse_hosts(text: str) -> dict[str, str]:
    hosts: list[str] = []
    ports: list[str] = []
    for entry in text.split(","):
        if entry.startswith("["):
            host, bracket, port = entry[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise ValueError("an IPv6 address needs brackets: [::1]:5432")
            port = port[1:]
        else:
            host, _, port = entry.partition(":")
        hosts.append(_decoded(host))
        ports.append(port)
    found = {"host": ",".join(hosts)} if any(hosts) else {}
    # libpq takes one port for all hosts or one for each, where an empty one means the default.
    return found | ({"port": ",".join(ports)} if any(ports) else {})


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValueError("a '%' is not followed by two hexadecimal digits")
    if "%" not in text:
        return text
    # Imported late: few DSNs need it, and every job pays for what stands at the top of a file.
    load("urllib.parse")
    from urllib.parse import unquote

    try:
        value = unquote(text, errors="strict")
    except UnicodeDecodeError:
        # Its message would carry a byte of what may be a password.
        raise ValueError("it is not UTF-8 once its percent signs are decoded") from None
    if "\0" in value:
        raise ValueError("it holds a NUL character")
    return value


def parse_pairs(text: str) -> dict[str, str]:
    """Return the keywords of `host=… dbname=…`; ValueError, without any of its text, when it is malformed."""
    found: dict[str, str] = {}
    position, pair = 0, re.compile(_PAIR)
    text = text.strip()
    while position < len(text):
        match = pair.match(text, position)
        if match is None:
            raise ValueError(f"its part {len(found) + 1} is not of the form keyword=value")
        keyword, value = match.groups()
        if value.startswith("'"):
            value = value[1:-1]
        found[keyword] = re.sub(_ESCAPED, r"\1", value)
        position = match.end()
    return found


def check_keywords(keywords: Mapping[str, str]) -> None:
    """Raise ValueError for an unknown keyword, or a port that is no port."""
    for position, (keyword, value) in enumerate(keywords.items(), start=1):
        if keyword not in KEYWORDS:
            # Never the word itself: in a list with a missing quote it may be half of a password.
            raise ValueError(f"its keyword {position} is not one of libpq's")
        ports = filter(None, map(str.strip, value.split(","))) if keyword == "port" else ()
        if not all(port.isascii() and port.isdigit() and 1 <= int(port) <= _MAX_PORT for port in ports):
            raise ValueError(f"its port is not a number from 1 to {_MAX_PORT}")


def with_dbname(keywords: Mapping[str, str]) -> dict[str, str]:
    """Return keywords with `database`, psycopg2's other name for it, as `dbname`; ValueError when both are given."""
    found = dict(keywords)
    database = found.pop("database", None)
    if database is not None and found.setdefault("dbname", database) != database:
        raise ValueError("its keywords dbname and database name two databases")
    return found


def expand_dbname(keywords: Mapping[str, str]) -> dict[str, str]:
    """Return keywords with a `dbname` that is itself a connection string taken apart, as libpq does it.

    Left alone, its password would be shown wherever the database's name is.
    """
    dbname = keywords.get("dbname", "")
    if dbname.startswith(URI_SCHEMES):
        inner = parse_uri(dbname)
    elif "=" in dbname:
        inner = parse_pairs(dbname)
    else:
        return dict(keywords)
    outer = {keyword: value for keyword, value in keywords.items() if keyword != "dbname"}
    return outer | inner


def write_pairs(keywords: Mapping[str, str]) -> str:
    """Return keywords as one `keyword=value` list, secrets included."""
    return " ".join(f"{keyword}={_quoted(value)}" for keyword, value in keywords.items())


def _quoted(value: str) -> str:
    if re.fullmatch(_PLAIN, value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def describe(keywords: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Return `postgresql://host:port/dbname as user`, with what libpq's own variables fill in, and never a secret."""

    def named(keyword: str, variable: str) -> str:
        return keywords.get(keyword) or environ.get(variable, "")

    service = named("service", "PGSERVICE")
    hosts = (keywords.get("host") or keywords.get("hostaddr") or environ.get("PGHOST", "")).split(",")
    ports = named("port", "PGPORT").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    sockets = [host for host in hosts if host.startswith(("/", "@"))]
    addresses = ",".join(
        ("" if host in sockets else f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        for host, port in zip(hosts, ports, strict=False)
    )
    user = named("user", "PGUSER")
    dbname = named("dbname", "PGDATABASE") or ("" if service else user)
    label = f"postgresql://{addresses}/{dbname}" if dbname else f"postgresql://{addresses}"
    if user:
        label += f" as {user}"
    details = [f"service {service}"] if service else []
    details += [f"socket {socket}" for socket in sockets]
    return f"{label} ({', '.join(details)})" if details else label
