"""Pictures as clients get them: the rendition that each takes, made once and kept.

The source lies on its shelf as the origin sent it, and renditions beside it like encoded
bodies (`compress.py`), so that they go with it: into the tiers below, and away when it is
purged. While a rendition is being made, whoever wants it gets the source.
"""

import zlib
from collections.abc import Callable
from http import HTTPStatus

from gateway.background import Background
from gateway.counters import Counters
from gateway.edge.asked import Settled
from gateway.edge.render import Order, Rendered
from gateway.edge.rendering import Renderer
from gateway.policy import downstream
from gateway.policy import images as policy
from gateway.policy.images import Images, Picture, WidthRefused
from gateway.policy.rules import CacheRules
from gateway.policy.stored import Form, StoredResponse
from gateway.routing.answers import Respond
from gateway.routing.route import Route
from gateway.wire.fields import Fields, line
from gateway.wire.message import RequestHead, ResponseHead

_TEXT = Fields(
    [
        line(b"Content-Type", b"text/plain; charset=utf-8"),
        line(b"Cache-Control", b"no-store"),
    ]
)


def want(route: Route, rules: Images, head: RequestHead) -> Settled | None:
    """Note in *head* which rendition it wants, and make it one of few.

    Returns the answer to whoever asks for what can't be had.
    """
    try:
        renditions = policy.asked(head.fields, head.target, rules)
    except WidthRefused as refused:
        body = f"400 Bad Request: {refused}\n".encode()
        return Settled(route, Respond(HTTPStatus.BAD_REQUEST, body, _TEXT), "width")
    head.renditions = tuple(each.name for each in renditions)
    head.fields = policy.bucketed(head.fields, rules)
    head.target = policy.of_source(head.target, rules)
    return None


def as_source(
    route: Route, head: RequestHead, response: ResponseHead, fields: Fields, *, kept: bool
) -> Fields:
    """Return the *fields* with which *response* goes to a client that gets it as it comes.

    *kept* is whether it is being stored: only then a rendition follows.
    """
    rules = route.images
    if rules is None or not policy.suits(response.status, response.fields):
        return fields
    fields = policy.varied(fields, rules)
    return downstream.for_a_moment(fields) if head.renditions and kept else fields


class Renditions:
    """The renditions of one worker."""

    def __init__(
        self,
        keep: Callable[[bytes, bytes, Form], bool],
        elsewhere: Callable[[bytes, StoredResponse, CacheRules], tuple[Form, ...]],
        counters: Counters,
        background: Background,
    ) -> None:
        self._keep = keep
        self._elsewhere = elsewhere
        self._counters = counters
        self._renderer = Renderer(background)
        self._ordered: set[tuple[bytes, str]] = set()
        self._homeless: dict[tuple[bytes, str], bytes] = {}
        """What couldn't be kept, by key and name, with its source: it isn't made again."""

    def at_hand(
        self,
        key: bytes,
        stored: StoredResponse,
        route: Route,
        rules: Images,
        names: tuple[str, ...],
    ) -> StoredResponse:
        """Return *stored*, which lies under *key*, as the first of *names* that there is.

        Those that would be no smaller are passed over, and the source comes last; while one
        is being made, the source stands in.
        """
        for name in names:
            form = next((each for each in stored.forms if each.coding == name), None)
            if form is None and (key, name) not in self._ordered:
                form = self._found(key, stored, route, name)
            if form is None:
                if self._order(key, stored, route, rules, name):
                    return policy.source(stored, rules, passing=True)
            elif form.body:
                return policy.represented(stored, form, rules)
        return policy.source(stored, rules, passing=False)

    def _found(self, key: bytes, stored: StoredResponse, route: Route, name: str) -> Form | None:
        """Return the rendition *name* that another worker has made; None when none has."""
        for form in self._elsewhere(key, stored, route.cache):
            if form.coding == name:
                self._keep(key, stored.body, form)
                return form
        return None

    def _order(
        self, key: bytes, stored: StoredResponse, route: Route, rules: Images, name: str
    ) -> bool:
        """Have *name* made; False when it won't be."""
        what = (key, name)
        if what in self._ordered:
            return True
        if self._homeless.get(what) is stored.body:
            return False
        wanted = policy.parse(name)
        rival = 0
        if wanted.format == Picture.AVIF and Picture.WEBP in rules.formats:
            rival = rules.quality_of(Picture.WEBP, saves=wanted.saves)
        order = Order(
            stored.body,
            wanted.format,
            wanted.width,
            wanted.quality,
            wanted.effort,
            rival,
            rules.animations,
            rules.max_pixels,
        )

        def told(rendered: Rendered | None) -> None:
            self._ordered.discard(what)
            if rendered is None:
                rendered = Rendered(b"", "broken", 0.0)
            labels = (route.name, wanted.format or "same", wanted.quality)
            sent = len(rendered.body) or len(stored.body)
            self._counters.encoded(labels, len(stored.body), sent, rendered.seconds)
            self._counters.rendered[route.name][rendered.why or "made"] += 1
            self._store(key, stored.body, name, rendered.body)

        if self._renderer.order(order, told):
            self._ordered.add(what)
        # Those who come when too much is waiting get the source, and ask again soon.
        return True

    def _store(self, key: bytes, source: bytes, name: str, body: bytes) -> None:
        form = Form(name, body, len(source), b"%08x" % zlib.crc32(body), best=True)
        if self._keep(key, source, form):
            return
        if len(self._homeless) >= _MOST_HOMELESS:
            self._homeless.clear()
        self._homeless[key, name] = source

    def close(self) -> None:
        """Begin nothing more."""
        self._renderer.close()


_MOST_HOMELESS = 1024
