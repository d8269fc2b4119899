from typing import Any

from django.http import HttpRequest

from common.templatetags.interface import cut_underscores, initials


def current_member(request: HttpRequest) -> dict[str, Any]:
    member = getattr(request, "member", None)
    if member is None:
        return {"member": None, "tenancy": None}
    return {
        "member": member,
        "tenancy": member.tenancy,
        "initials": initials(member.name),
        "zone": cut_underscores(member.user.time_zone),
    }
