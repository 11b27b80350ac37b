"""What must hold of a response and of what the origin saw (`data/SCHEMA.md`, 5 and 6)."""

from dataclasses import dataclass

from tests.conformance import magic
from tests.conformance.client import Response
from tests.conformance.origin import Seen
from tests.conformance.suite import Step


class Unmet(Exception):
    """A check that didn't hold; *setup* when it says nothing about the cache."""

    def __init__(self, text: str, *, setup: bool) -> None:
        super().__init__(text)
        self.setup = setup


@dataclass(slots=True)
class Checking:
    """The checks of one step."""

    step: Step
    number: int
    uuid: str

    def check(self, held: bool, text: str, field: str, *, setup: bool = False) -> None:
        """Raise Unmet unless *held*; *field* is the one of the test that asked."""
        if not held:
            step = self.step
            prepared = setup or step.setup or field in step.setup_tests
            raise Unmet(f"request {self.number}: {text}", setup=prepared)

    def response(self, response: Response) -> None:
        """Check what the client got."""
        step = self.step
        numbers = (response.get("request-numbers") or "").split()
        if len(numbers) != len(set(numbers)):
            raise Unmet("retry", setup=True)
        count = int(response.get("server-request-count") or "0")
        if step.expected_type == "cached":
            reused = count < self.number
            if response.status == 304 and response.get("server-request-count") is None:
                reused = True
            self.check(reused, "the response didn't come from the cache", "expected_type")
        elif step.expected_type == "not_cached":
            self.check(count == self.number, "the response came from the cache", "expected_type")
        self._status(response)
        self._fields(response)
        self._interim(response)
        self._body(response)

    def _status(self, response: Response) -> None:
        step = self.step
        status = response.status
        if isinstance(step.expected_status, int):
            self.check(
                status == step.expected_status,
                f"the status is {status}, not {step.expected_status}",
                "expected_status",
            )
        elif step.expected_status is None:
            return
        elif step.response_status is not None:
            wanted = step.response_status[0]
            self.check(status == wanted, f"the status is {status}, not {wanted}", "", setup=True)
        elif status == 999:
            self.check(False, "the request wasn't conditional", "expected_type")
        else:
            self.check(status == 200, f"the status is {status}, not 200", "", setup=True)

    def _fields(self, response: Response) -> None:
        step = self.step
        asked = "expected_response_headers"
        now = float(response.get("server-now") or 0)
        for line in step.expected_response_headers:
            if isinstance(line, str):
                self.check(response.get(line) is not None, f"{line} is missing", asked)
                continue
            name = str(line[0])
            found = response.get(name)
            if len(line) > 2 and line[1] == "=":
                other = response.get(str(line[2]))
                self.check(found == other, f"{name} is {found}, {line[2]} {other}", asked)
            elif len(line) > 2:
                digits = _leading_integer(found)
                more = digits is not None and digits > int(str(line[2]))
                self.check(more, f"{name} is {found}, not over {line[2]}", asked)
            else:
                wanted = magic.value(line, now, step.rfc850date)
                self.check(found == wanted, f"{name} is {found}, not {wanted}", asked)
        asked = "expected_response_headers_missing"
        for missing in step.expected_response_headers_missing:
            if isinstance(missing, str):
                self.check(response.get(missing) is None, f"{missing} is there", asked)
            else:
                found = response.get(missing[0])
                gone = found is None or missing[1] not in found
                self.check(gone, f"{missing[0]} holds {missing[1]}", asked)

    def _interim(self, response: Response) -> None:
        wanted = self.step.expected_interim_responses
        if wanted is None:
            return
        asked = "expected_interim_responses"
        codes = [code for code, _ in response.interim]
        expected = [one[0] for one in wanted]
        self.check(codes == expected, f"interim responses {codes}, not {expected}", asked)
        for (_, lines), one in zip(response.interim, wanted, strict=True):
            names = {name.lower() for name, _ in lines}
            for line in one[1] if len(one) > 1 and isinstance(one[1], list) else []:
                self.check(line[0].lower() in names, f"interim {line[0]} is missing", asked)

    def _body(self, response: Response) -> None:
        step = self.step
        if not step.check_body:
            return
        if isinstance(step.expected_response_text, str):
            self.check(
                response.body == step.expected_response_text,
                f"the body is {response.body!r}",
                "expected_response_text",
            )
        elif step.expected_response_text is None:
            return
        elif step.response_body is not None:
            self.check(
                response.body == step.response_body, f"body {response.body!r}", "", setup=True
            )
        elif response.status not in (204, 304) and step.request_method != "HEAD":
            self.check(response.body == self.uuid, f"body {response.body!r}", "", setup=True)

    def seen(self, seen: Seen | None, response: Response) -> None:
        """Check what the origin saw of this step; None when that is nothing."""
        step = self.step
        if step.expected_type == "not_cached":
            number = None if seen is None else seen.request_num
            self.check(number == self.number, f"the origin saw request {number}", "expected_type")
        conditions = {"etag_validated": "if-none-match", "lm_validated": "if-modified-since"}
        condition = conditions.get(step.expected_type or "")
        fields = {} if seen is None else seen.request_headers
        if condition is not None:
            self.check(condition in fields, f"the origin saw no {condition}", "expected_type")
        for line in step.expected_request_headers:
            name = line if isinstance(line, str) else line[0]
            found = fields.get(name.lower())
            right = found is not None if isinstance(line, str) else found == line[1]
            self.check(right, f"the origin saw {name}: {found}", "expected_request_headers")
        for line in step.expected_request_headers_missing:
            name = line if isinstance(line, str) else line[0]
            found = fields.get(name.lower())
            right = found is None if isinstance(line, str) else found != line[1]
            self.check(right, f"the origin saw {name}", "expected_request_headers_missing")
        for name, value in [] if seen is None else seen.response_headers:
            if name.lower() != "date":
                sent = value if isinstance(value, str) else ", ".join(value)
                got = response.get(name)
                self.check(got == sent, f"{name} became {got}", "", setup=True)
        if step.expected_method is not None:
            method = None if seen is None else seen.request_method
            self.check(
                method == step.expected_method, f"the origin saw {method}", "expected_method"
            )


def _leading_integer(text: str | None) -> int | None:
    digits = ""
    for character in text or "":
        if not character.isdigit():
            break
        digits += character
    return int(digits) if digits else None
