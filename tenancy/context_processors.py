from typing import Any

from django.http import HttpRequest


def current_member(request: HttpRequest) -> dict[str, Any]:
    member = getattr(request, "member", None)
    return {"member": member, "tenancy": member.tenancy if member else None}
