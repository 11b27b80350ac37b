"""Texts that several keys of the rules are made of, and what other products call our keys."""

import re

from gateway.config.shapes import Matching, Parsed, Unfit
from gateway.routing import glob, hosts, templates
from gateway.routing.answers import SAME_BY_HTTPS, is_path, unknown_placeholders
from gateway.routing.changes import NEVER_CHANGED
from gateway.routing.conditions import BadRegex, regex

OTHER_WORDS = {
    "swr": "stale_while_revalidate",
    "grace": "stale_while_revalidate",
    "stale_ttl": "stale_while_revalidate",
    "sie": "stale_if_error",
    "edge_ttl": "ttl",
    "max_age": "ttl",
    "s_maxage": "ttl",
    "expires": "ttl",
    "lifetime": "ttl",
    "client_ttl": "browser_ttl",
    "negative_ttl": "status_ttl",
    "error_ttl": "status_ttl",
    "tags": "groups",
    "surrogate_key": "groups",
    "cache_tag": "groups",
    "partition": "scope",
    "shared": "scope",
    "cache_key": "key",
    "upstream": "origin",
    "upstreams": "origins",
    "backend": "origin",
    "backends": "origins",
    "proxy_pass": "origin",
    "endpoints": "servers",
    "server": "servers",
    "url": "servers",
    "rules": "routes",
    "locations": "routes",
    "paths": "path",
    "url_path": "path",
    "methods": "method",
    "hosts": "host",
    "server_name": "host",
    "domain": "host",
    "headers_in": "request_headers",
    "add_header": "response_headers",
    "return": "respond",
    "rate_limit": "limit",
    "limit_req": "limit",
    "rate": "requests",
    "average": "requests",
    "period": "per",
    "window": "per",
    "client_max_body_size": "max_body",
    "max_body_size": "max_body",
    "mime_type": "content_type",
    "mime_types": "content_type",
    "content_types": "content_type",
    "cidr": "allow",
    "unless": "except",
    "regex": "path_regex",
    "path_regexp": "path_regex",
    "params": "query",
    "includes": "include",
    "exclude": "ignore",
    "first_byte_timeout": "first_byte",
    "read": "first_byte",
    "keepalive_timeout": "idle_timeout",
    "max_size": "size",
}
"""What other products call a key."""

_NAME_CHARACTERS = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+"
NAME = Matching(
    "a name of letters, digits, '-', '_' and '.', at most 64", r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}"
)
MEDIA_TYPE = Matching(
    "a media type such as application/json, with * for any characters",
    r"[A-Za-z0-9!#$&^_.+*\-]+/[A-Za-z0-9!#$&^_.+*\-]+",
)
COOKIE_NAME = Matching("a cookie name", _NAME_CHARACTERS)


def _glob(text: str) -> str:
    try:
        return glob.normalise(text)
    except glob.BadGlob as error:
        raise Unfit(error.hint, f'"{text}" can match no path: {error}') from error


def _method(text: str) -> str:
    if not text.isascii() or not text.replace("-", "").isalpha() or not text.isupper():
        raise Unfit(f'did you mean "{text.upper()}"?' if text.isalpha() else None)
    return text


GLOB = Parsed("a path such as /blog/*", _glob, r"/[^?#]*")
METHOD = Parsed("a method such as GET", _method, r"[A-Z][A-Z\-]*")


def _header(text: str) -> str:
    HEADER_NAME.parse(text)
    if text.lower().encode() in NEVER_CHANGED:
        raise Unfit("the gateway writes it itself", f"{text} can't be changed by rules")
    return text


def _host(text: str) -> str:
    lower = text.lower()
    if not hosts.is_pattern(lower):
        bare = lower.partition("://")[2].partition("/")[0] if "://" in lower else ""
        raise Unfit(f'did you mean "{bare}"?' if bare and hosts.is_pattern(bare) else None)
    return lower


def _expression(text: str) -> str:
    try:
        regex(text)
    except BadRegex as error:
        raise Unfit(
            "look-around and back-references have no linear-time match",
            f"RE2 can't read this expression: {error}",
        ) from error
    return text


def _template(text: str) -> str:
    for name in unknown_placeholders(text):
        raise Unfit("known: {path}, {rest}", f"{{{name}}} means nothing here")
    return text


def _path_template(text: str) -> str:
    _template(text)
    if not text.startswith(("/", "{path}", "{rest}")) or not is_path("/" + text.lstrip("/")):
        raise Unfit("it begins with a slash and has no query")
    return text


def _location(text: str) -> str:
    if text == SAME_BY_HTTPS:
        return text
    _template(text)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise Unfit("escape what isn't ASCII")
    if text.startswith(("http://", "https://")):
        # What a placeholder stands for begins with a slash, so it may follow a host at once.
        if not re.match(r"[A-Za-z0-9\[]", text.partition("://")[2]):
            raise Unfit("a placeholder must not choose the host")
        return text
    if not text.startswith("/") and not text.startswith(("{path}", "{rest}")):
        raise Unfit('a path begins with a slash, a URL with "https://"')
    return text


HEADER_NAME = Matching("a field name such as X-Region", r"[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,64}")
CHANGED_HEADER = Parsed("a field name such as X-Frame-Options", _header, _NAME_CHARACTERS)
HEADER_VALUE = Matching("a value without control characters", r"[^\x00-\x1f\x7f]{0,1024}")
HOST_PATTERN = Parsed(
    "a host such as hub.example.com or *.example.com", _host, r"[A-Za-z0-9*_\[][A-Za-z0-9.\-_:\]]*"
)
EXPRESSION = Parsed("an expression of RE2 that matches whole paths", _expression)
PATH_TEMPLATE = Parsed("a path such as /v2{rest}", _path_template, r"[/{][^?#]*")
LOCATION = Parsed(
    "a path, a URL such as https://new.example.com{path}, or https",
    _location,
    r"(?:https?://|/|\{)\S*|https",
)
TESTED_VALUE = Matching("a value, with * for any characters", r"[^\x00-\x1f\x7f]{1,256}")


def _group(text: str) -> str:
    if re.search(r"[\s\x00-\x1f\x7f]", text) or not 0 < len(text) <= 200:
        raise Unfit
    for name in templates.fields_of(text):
        if name not in templates.FIELDS:
            known = ", ".join(f"{{{each}}}" for each in sorted(templates.FIELDS))
            raise Unfit(f"known: {known}", f"{{{name}}} means nothing here")
    return text


GROUP = Parsed("a group such as org:{org}", _group, r"\S{1,200}")
