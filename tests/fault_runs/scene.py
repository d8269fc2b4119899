"""Who writes to whom in the fault runs. Built by `manage.py shell` within the stack."""

import json
from dataclasses import asdict, dataclass

from tests.support.stack import Stack

SLUG = "faults"
PASSWORD = "correct horse battery"
NAMES = ("Alice Almeida", "Bob Brandt", "Charlie Chen", "Fay Fisher", "Gus Green", "Hal Hart")
AUTHORS = 4  # the first of them; all are members
BUSY_TOPICS = ("Payments processing", "Pensions", "Overtime")  # each message is e-mailed
QUIET_TOPIC = "Year-end closing"  # has an interval: most are not


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
    hashed_password = make_password(PASSWORD)  # once for all: it is slow on purpose
    emails = [f"{name.split()[0].lower()}@{SLUG}.example" for name in NAMES]
    members = [
        Member.objects.create(tenancy=tenancy, user=add_user(email, hashed_password), name=name)
        for name, email in zip(NAMES, emails, strict=True)
    ]
    group = make_group(tenancy, "Payroll", *members)
    topics = [make_topic(group, name, notification_interval=0) for name in BUSY_TOPICS]
    topics.append(make_topic(group, QUIET_TOPIC))
    print(json.dumps(asdict(Scene(emails, [topic.pk for topic in topics]))))
