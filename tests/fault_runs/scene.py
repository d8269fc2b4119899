"""The members, group and topics of the fault runs, created by `manage.py shell` in the stack."""

import json
from dataclasses import asdict, dataclass

from tests.support.stack import Stack

SLUG = "faults"
PASSWORD = "correct horse battery"
NAMES = ("Alice Almeida", "Bob Brandt", "Charlie Chen", "Fay Fisher", "Gus Green", "Hal Hart")
AUTHORS = 4  # the first of NAMES; the others only receive mails
EMAILED_TOPICS = ("Payments processing", "Pensions", "Overtime")  # interval 0: every message is e-mailed
INTERVAL_TOPIC = "Year-end closing"  # has an interval: most messages are not e-mailed


@dataclass(frozen=True)
class Scene:
    emails: list[str]
    topics: list[int]

    @property
    def authors(self) -> list[str]:
        return self.emails[:AUTHORS]


def set_scene(stack: Stack) -> Scene:
    built = stack.manage("shell", "--no-imports", "-c", f"from {__name__} import build; build()")
    return Scene(**json.loads(built.splitlines()[-1]))


def build() -> None:
    from django.contrib.auth.hashers import make_password

    from accounts.users import add_user
    from tenancy.models import Member, Tenancy
    from tests.support.cast import make_group, make_topic

    tenancy = Tenancy.objects.create(slug=SLUG, name="Faults", messenger_enabled=True)
    hashed_password = make_password(PASSWORD)  # only once: hashing is slow on purpose
    emails = [f"{name.split()[0].lower()}@{SLUG}.example" for name in NAMES]
    members = [
        Member.objects.create(tenancy=tenancy, user=add_user(email, hashed_password), name=name)
        for name, email in zip(NAMES, emails, strict=True)
    ]
    group = make_group(tenancy, "Payroll", *members)
    topics = [make_topic(group, name, notification_interval=0) for name in EMAILED_TOPICS]
    topics.append(make_topic(group, INTERVAL_TOPIC))
    print(json.dumps(asdict(Scene(emails, [topic.pk for topic in topics]))))
