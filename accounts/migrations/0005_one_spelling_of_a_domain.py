"""Store each domain in the one spelling of `stored_address`: in ASCII.

Of addresses that turn out to be the same, none is changed and none merged: they are reported, and only the one that is
in ASCII already can sign in, as an operator decides what to do about the other.
"""

import sys
from collections import Counter

from django.db import migrations

from common.addresses import stored_address


def use_one_spelling(apps, schema_editor):
    User = apps.get_model("accounts", "User")
    EmailAddress = apps.get_model("account", "EmailAddress")
    users = list(User.objects.filter(email__regex=r"[^\x01-\x7f]").order_by("pk").values_list("pk", "email"))
    spellings = Counter(stored_address(email) for _pk, email in users)
    for pk, email in users:
        stored = stored_address(email)
        if spellings[stored] > 1 or User.objects.filter(email=stored).exclude(pk=pk).exists():
            sys.stderr.write(f"\n  Several users have the address {stored}: {email} was not changed.\n")
            continue
        User.objects.filter(pk=pk).update(email=stored)
        EmailAddress.objects.filter(user=pk, email=email).update(email=stored)
    for request in apps.get_model("accounts", "PasswordResetRequest").objects.all():
        request.email = stored_address(request.email)
        request.save(update_fields=["email"])


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_appearance_labels"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]
    operations = [migrations.RunPython(use_one_spelling, migrations.RunPython.noop)]
