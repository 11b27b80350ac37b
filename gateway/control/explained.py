"""An explanation as people read it."""

from gateway.config.rehearsal import IN_VAIN_HINT
from gateway.config.units import show_duration
from gateway.control.explain import Explanation


def text(explanation: Explanation) -> str:
    """Return *explanation* as people read it."""
    parts = (_text_of_route, _text_of_key, _text_of_storing, _text_of_change)
    return "\n".join(line for part in parts for line in part(explanation))


def _text_of_route(this: Explanation) -> list[str]:
    lines = [f"{this.method} {this.target}  (host {this.host or 'none'})"]
    lines.append(f"route     {this.route}  {this.place}  origin {this.origin}")
    for path, name in this.members.items():
        lines.append(f"  member  {path}  by route {name}")
    if this.earlier_left_out:
        lines.append(f"  before  {this.earlier_left_out} more routes that don't match")
    for each in this.earlier:
        why = "; ".join(each.why) or "it matches a member of the batch only"
        lines.append(f"  before  {each.route}  {each.place}  wants {why}")
    return lines


def _text_of_key(this: Explanation) -> list[str]:
    lines = []
    proven = [name for name, is_known in this.identity.items() if is_known]
    lines.append(f"who       {' and '.join(proven) if proven else 'nobody is proven'}")
    if this.answered_here is not None:
        lines.append(f"cache     not asked: the gateway answers {this.answered_here} itself")
    elif this.asks_cache:
        parts = "  ".join(f"{name}={value}" for name, value in this.key.items())
        lines.append(f"key       {parts}")
        for name, reason in this.ignored.items():
            lines.append(f"  without {name}: {reason}")
    else:
        lines.append(f"cache     not asked: fwd={this.bypass}")
    return lines


def _text_of_storing(this: Explanation) -> list[str]:
    if this.answered_here is not None:
        return [f"told      {each}" for each in this.told]
    lines = _text_of_stored(this) if this.stored else ["stored    no"]
    for each in this.obstacles:
        lines.append(f"  {each.word}: {each.text} ({each.section})")
        if each.change is None and each.elsewhere is not None:
            lines.append(f"    {each.elsewhere}")
    lines += [f"told      {each}" for each in this.told]
    if this.doubt is not None:
        lines.append(f"doubt     {this.doubt}: {IN_VAIN_HINT}")
    return lines


def _text_of_stored(this: Explanation) -> list[str]:
    kept = "stored    and validated before each use"
    if this.ttl:
        kept = f"stored    for {show_duration(round(this.ttl, 3))}, by {this.ttl_from}"
    if this.stale_while_revalidate:
        kept += f"; then {show_duration(this.stale_while_revalidate)} stale while refreshed"
    if this.stale_if_error:
        kept += f"; {show_duration(this.stale_if_error)} in place of errors"
    return [kept, f"groups    {' '.join(this.groups)}"] if this.groups else [kept]


def _text_of_change(this: Explanation) -> list[str]:
    if this.answered_here is not None:
        return []
    lines = []
    for remedy in this.remedies:
        if remedy.new_route:
            lines.append("to store it, add a route:")
            first, *others = remedy.lines
            lines += [f"  - {first}", *(f"    {each}" for each in others)]
        else:
            named = f"in route {remedy.route} ({remedy.place})"
            where = named if remedy.route else "in the rules"
            lines.append(f"to store it, write {where}:")
            lines += [f"    {each}" for each in remedy.lines]
        lines += [f"  {each}" for each in remedy.cautions]
    if this.helpless:
        lines.append("no change of the rules alone would have it stored")
    return lines
