"""The words that keys in the shared tier begin with."""

from enum import StrEnum


class Prefix(StrEnum):
    """What a key is about: the word after the prefix that all of them have."""

    API = "api:"
    """Stored responses."""
    LEASE = "lease:"
    """Who is fetching a response."""
    RATE_LIMIT = "ratelimit:"
    PURGES = "purges"
    REPLICAS = "replicas"
    ACKS = "acks:"
    SESSION = "session:"
    USER = "user:"
    ORG = "org:"
    PROJECT = "project:"
    INSIGHT = "insight:"
    AUTOPILOT = "autopilot:"
    GUARDIAN = "guardian:"
