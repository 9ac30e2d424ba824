r"""Secrets in texts replaced by `***` before anything is stored or shown; docs/operations.md lists what is found.

The cost is linear in the length, whatever the text holds: a name that a secret stands behind is found by one search, a
bounded stretch around it is looked at, and whatever is read further than that is replaced and not read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from tracking_core.errors import ConfigurationError

MASK = "***"
LONGEST_CACHED = 1024
_TEXTS_CACHED = 2048
_SHORTEST_TOKEN = 20
_PIECE = 2048
"""Characters of a line that a pattern of $TRACKING_REDACT gets at a time."""

_NO_SECRETS = frozenset({"", "none", "null", "true", "false", "undefined", "…"})

_own: tuple[re.Pattern[str], ...] = ()


def without_secrets(text: str) -> str:
    """Return text with passwords, tokens, keys and other credentials as `***`; never raises."""
    if not _is_suspect(text) and not _own:
        return text
    return _cached(text) if len(text) <= LONGEST_CACHED else _redacted(text)


def use_own_patterns(environ: Mapping[str, str]) -> None:
    """Mask what the regular expressions in $TRACKING_REDACT match too, one a line: their first group, else all.

    Raises ConfigurationError naming the one that cannot be compiled.
    """
    global _own
    patterns = []
    for line in filter(None, map(str.strip, environ.get("TRACKING_REDACT", "").splitlines())):
        try:
            patterns.append(re.compile(line))
        except (re.error, RecursionError, OverflowError) as error:
            problem = f"$TRACKING_REDACT is {line!r}, no regular expression: {error}"
            raise ConfigurationError(f"{problem}; accepted: one or several, one a line") from None
    if _own != tuple(patterns):
        _own = tuple(patterns)
        _cached.cache_clear()


def _is_suspect(text: str) -> bool:
    """Return whether any pattern may match; less than a microsecond for a usual endpoint."""
    if _has_any(text, _SEPARATORS) and ("://" in text or ":\\/" in text or _may_hold_name(text.lower())):
        return True
    if len(text) < _SHORTEST_TOKEN:
        return False
    return _may_hold_token(text) or (" " in text and _may_hold_scheme(text.lower()))


# Without one of these the searches below find nothing.
_SEPARATORS = ("=", ":", "'", '"', "%3", "<", "--")
_NAMES = (
    *("pass", "key", "token", "auth", "secret", "sig", "pwd", "credential", "cookie", "jwt", "bearer", "session"),
    "identified by",
)
_PARAMETERS = ("sid=", "ticket=", "otp=", "pin=", "pw=", "access=", "hash=", "assertion=")
_TOKENS = {
    "_": ("gh", "pat_", "k_", "hf_", "npm_", "shp", "_v"),
    "-": ("sk-", "pat-", "xox", "xapp-", "pypi-"),
    ".": ("ya29.", "SG.", "hvs."),
    "A": ("AKIA", "ASIA", "AIza"),
    "": ("eyJ", "dapi", "/T", "/bot"),
}
"""What tokens begin with, by a letter that is in all of them."""


def _has_any(text: str, parts: Iterable[str]) -> bool:
    for part in parts:  # noqa: SIM110 - any() costs three times as much
        if part in text:
            return True
    return False


def _may_hold_token(text: str) -> bool:
    for letter, parts in _TOKENS.items():  # noqa: SIM110 - as there
        if letter in text and _has_any(text, parts):
            return True
    return False


def _may_hold_name(lower: str) -> bool:
    return _has_any(lower, _NAMES) or ("=" in lower and _has_any(lower, _PARAMETERS))


def _may_hold_scheme(lower: str) -> bool:
    return "bearer " in lower or "basic " in lower


def _redacted(text: str) -> str:
    if "PRIVATE KEY" in text:
        text = _without_private_keys(text)
    if "://" in text or ":\\/" in text:
        text = _without_userinfo(text)
    lower = text.lower()
    if _may_hold_name(lower):
        text = _without_values(text)
    if _may_hold_token(text) or _may_hold_scheme(lower):
        text = _tokens().sub(MASK, text)
    return _without_own(text) if _own else text


_cached = lru_cache(maxsize=_TEXTS_CACHED)(_redacted)


# -- names and the values behind them ----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _heads() -> re.Pattern[str]:
    """Return what finds a name and the separator behind it; its group is how far the name is trusted."""
    keys = (
        "access|account|api|app|auth|client|consumer|encryption|functions|license|master|private|secret|service|shared"
        "|signing|ssh|storage|subscription"
    )
    return re.compile(
        rf"""(?: (?P<header>authorization)
        | (?P<cookie>cookie2?)
        | (?P<strong> pass(?:w(?:or)?d|phrase|code)s? | (?<![a-z])pass | (?:user|db|pg|sql|smtp|root|admin)pass
            | pwd | identified[ ]by | secret | (?:{keys})(?:[-_.\ ]|%20)?keys? )
        | (?P<weak> token | credentials? | signature | (?<![a-z])sig | auth | jwt | session[-_]?(?:id|key) | bearer )
        | (?P<query> (?<=[?&;])(?:key|sid|session|ticket|otp|pin|pw|access|hash|assertion)(?==) ) )
        (?:[-_]?(?:hash|value|[0-9]{{1,2}}))?
        (?P<close> \\?["'] | %22 )? \]?
        (?P<separator> [ \t]{{0,4}}(?:=>|:=|==?|:|%3[ad])(?:[ \t]|%20){{0,4}} | ,[ \t]?(?=b?\\?["'])
            | (?:[ ][^<>\n]{{0,80}})?>(?=[^<\s]) | [ \t]{{1,4}}(?=\S) )""",
        re.IGNORECASE | re.VERBOSE,
    )


@lru_cache(maxsize=1)
def _values() -> dict[str, re.Pattern[str]]:
    """Return how far a value extends, by the form it has: the group that matched."""
    enclosed = (
        r"""b?(?:"((?:[^"\\\n]|\\.|"")*+)|'((?:[^'\\\n]|\\.|'')*+)|\\"((?:[^"\\\n]|\\(?!"))*+)"""
        r"""|\\'((?:[^'\\\n]|\\(?!'))*+)|\{([^}\n]*+)|\[([^\]\n]*+)|\(([^)\n]*+))"""
    )
    # A delimiter ends a value where white space, the end or another pair follows; elsewhere it is part of it.
    word = (
        r"""((?:[^\s&,;"'<>\\]|\\[^"'\n]|[<>"'](?=\w)|[,;](?!\s|$|["'\w.-]{1,64}\s?[=:])"""
        r"""|&(?!$|\s|[\w.\[\]%-]{0,64}=))*+)"""
    )
    scheme = "Bearer|Basic|Digest|Token|Negotiate|NTLM|ApiKey|AWS4-HMAC-SHA256|OAuth|Hawk|SSWS|JWT|DPoP|Splunk|Key|MAC"
    parameters = r"""(?:,[ \t]{0,4}[\w-]{1,32}=(?:"[^"\n]*+"?|[^\s,"']*+))*+"""
    texts = {
        "word": f"{enclosed}|{word}",
        "line": rf"{enclosed}|([^\n]*+)",
        "pair": rf"""{enclosed}|([^;"'\n]*+)""",
        "query": r"""([^&#\s"'<>]*+)""",
        "markup": r"([^<\n]*+)",
        "header": rf"""{enclosed}|(?i:(?:{scheme})(?:[ \t]{{1,4}}|%20))"""
        rf"""([^\s"',]*+(?:(?<==)"[^"\n]*+"?)?+{parameters})"""
        rf"""|([^\s"']*+(?:[ \t][^\s"',]++)?+{parameters})""",
        # Quoted, or no word of prose: with a digit, or long.
        "token-like": r"""b?\\?["'(\[{]+\S|(?=\S{0,63}\d)[^\s"']{6}|[^\s"']{16}""",
        "config line": r"""[ \t]*(?:-[ \t])?[\w.-]*["']?""",
    }
    return {name: re.compile(text) for name, text in texts.items()}


def _without_values(text: str) -> str:
    kept: list[str] = []
    done = 0
    for head in _heads().finditer(text):
        form = "" if head.start() < done else _form_of(head, text)
        found = _values()[form].match(text, head.end()) if form else None
        if found is None or found.lastindex is None:
            continue
        start, end = found.span(found.lastindex)
        if form == "line":
            # As in curl -H "Cookie: …".
            opener = re.search(r"[\"'](?=[\w-]{0,40}$)", text[max(head.start() - 41, 0) : head.start()])
            closing = text.find(opener[0], start, end) if opener and not head["close"] else -1
            end = closing if closing >= 0 else end
        while end > start and text[end - 1] in ")]}\r":
            end -= 1
        if not text.startswith(MASK, start) and text[start:end].strip().lower() not in _NO_SECRETS:
            kept += (text[done:start], MASK)
            done = end
    return "".join((*kept, text[done:])) if kept else text


def _form_of(head: re.Match[str], text: str) -> str:
    """Return the form of the value behind a name, '' where what follows is prose."""
    separator = head["separator"].strip()
    before = text[max(head.start() - 64, 0) : head.start()]
    if separator == ",":
        return "word" if head["close"] else ""
    if separator.endswith(">") and separator != "=>":
        return "markup" if re.search(r"<[\w:.-]*$", before) else ""
    if not separator and text.startswith(("'", '"'), head.end()):
        # As in SQL: ALTER USER … PASSWORD '…'.
        return "word" if head[0].lower().startswith(("passw", "identified")) else ""
    if not separator and not re.split(r"[\s\"'\[(,]", before)[-1].startswith("--"):
        return ""
    if _is_prose(head, separator, text, before):
        return ""
    if head["query"] or head["header"]:
        return "query" if head["query"] else "header"
    if separator == "=" and before.endswith(";"):
        return "pair"
    line = before.rpartition("\n")[2]
    is_config = head["strong"] and len(line) < 64 and _values()["config line"].fullmatch(line)
    return "line" if separator == ":" and (head["cookie"] or is_config) else "word"


def _is_prose(head: re.Match[str], separator: str, text: str, before: str) -> bool:
    name, after = head[0].lower(), head.end()
    if separator in ("", ":") and (head["weak"] or not separator):
        return _values()["token-like"].match(text, after) is None
    if name.startswith("pwd"):
        # A shell's working directory.
        return separator == "=" and text.startswith(("/", "~"), after) and not before.endswith(";")
    # So many tests have passed.
    return name.startswith("pass:") and text[after : after + 1].isdigit()


# -- secrets by their own look -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _tokens() -> re.Pattern[str]:
    """Return what matches credentials that begin as their issuers have them begin."""
    return re.compile(
        r"""(?<![A-Za-z0-9])(?:
            gh[pousr]_[A-Za-z0-9]{20,}+ | github_pat_\w{20,}+ | glpat-[\w-]{16,}+ | xox[a-z]-[\w-]{10,}+
            | xapp-[\w-]{10,}+ | [sr]k_(?:live|test)_\w{10,}+ | sk-(?=[\w-]{0,40}[0-9])[\w-]{20,}+
            | (?:hf|npm)_[A-Za-z0-9]{30,}+ | pypi-[\w-]{30,}+ | pat-[a-z]{2}[0-9]-[\w-]{20,}+
            | shp[a-z]{2}_[a-f0-9]{24,}+ | do[pro]_v1_[a-f0-9]{24,}+ | (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])
            | AIza[\w-]{30,}+ | ya29\.[\w-]{20,}+ | (?:SG|hvs)\.[\w-]{16,}+(?:\.[\w-]*+)? | dapi[a-f0-9]{32}
            | eyJ[\w-]{16,}+(?:\.[\w-]*+){0,4} | (?<=/)T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,}+
        )
        | (?<=/bot)[0-9]{6,12}:[\w-]{30,}+
        | (?i:(?<=bearer[ ])|(?<=basic[ ]))(?=[\w.~+/-]{1,200}[0-9A-Z=])[\w.~+/=-]{8,}+""",
        re.VERBOSE,
    )


def _without_userinfo(text: str) -> str:
    """Return text without the passwords of its URLs, and without the whole user of web addresses."""
    kept: list[str] = []
    done = 0
    for url in re.finditer(r""":\\?/\\?/([^\s/?#"'<>\\]*+)""", text):
        start, end = url.span(1)
        is_web = text[max(url.start() - 5, 0) : url.start()].lower().endswith(("http", "https"))
        at = text.rfind("@", start, end)
        colon = text.find(":", start, end)
        if at < 0 and colon >= 0 and not text[colon + 1 : colon + 2].isdigit() and text[start] != "[":
            # No port: a password with a slash, a question mark or a quote in it.
            word = re.compile(r"[^\s<>]{0,256}").match(text, end)
            at = text.rfind("@", end, word.end() if word else end)
        first = start if is_web else colon + 1
        if done <= start < at and start <= first < at and not text.startswith(MASK, first):
            kept += (text[done:first], MASK)
            done = at
    return "".join((*kept, text[done:])) if kept else text


_KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\\r\n"


def _without_private_keys(text: str) -> str:
    """Return text without what stands between the marks of a private key, also where one mark was cut off."""
    marks = list(re.finditer(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", text))
    kept: list[str] = []
    done = 0
    for place, mark in enumerate(marks):
        after = marks[place + 1] if place + 1 < len(marks) else None
        if text.startswith(MASK, mark.end()):
            continue
        if mark[1] == "END":
            if done < mark.start() and not text.endswith(MASK, 0, mark.start()):
                kept.append(text[done : mark.start()].rstrip(_KEY_LETTERS) + MASK)
                done = mark.start()
            continue
        kept += (text[done : mark.end()], MASK)
        if after is not None and after[1] == "END":
            done = after.start()
        else:
            body = text[mark.end() : after.start() if after else len(text)]
            done = mark.end() + len(body) - len(body.lstrip(_KEY_LETTERS + " "))
    return "".join((*kept, text[done:]))


def _without_own(text: str) -> str:
    """Return text without what the operator's patterns match, a bounded stretch of a line at a time."""
    # Whole lines, longer ones cut between words.
    pieces = re.findall(rf"[^\n]{{0,{_PIECE}}}+(?:\n|\Z)|[^\n]{{0,{_PIECE - 1}}}[^\S\n]|[^\n]{{1,{_PIECE}}}", text)
    for pattern in _own:
        pieces = [pattern.sub(_masked_group, piece) for piece in pieces]
    return "".join(pieces)


def _masked_group(match: re.Match[str]) -> str:
    group = 1 if match.re.groups and match[1] else 0
    start, end = match.start(group) - match.start(), match.end(group) - match.start()
    return match[0][:start] + MASK + match[0][end:] if start < end else match[0]
