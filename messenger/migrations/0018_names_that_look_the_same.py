"""A group's name is unique in its tenancy, and a topic's in its group, by what it looks like (`skeleton`).

Names that are there already stay, look-alikes too: they are reported, and the index leaves out all but the oldest of
each. A name that is typed from now on is compared with all of them by the forms.
"""

import sys

from django.db import migrations, models

# Table, the column within which names are unique, and the index.
UNIQUE = [
    ("messenger_messengergroup", "tenancy_id", "group_name_unique_in_tenancy"),
    ("messenger_topic", "group_id", "topic_name_unique_in_group"),
]
LOOK_ALIKES = """
    SELECT id, name FROM (
        SELECT id, name, row_number() OVER (PARTITION BY {owner}, skeleton ORDER BY id) AS place FROM {table}
    ) AS names WHERE place > 1 ORDER BY id
"""


def by_skeleton(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for table, owner, index in UNIQUE:
            cursor.execute(LOOK_ALIKES.format(table=table, owner=owner))
            found = cursor.fetchall()
            for pk, name in found:
                sys.stderr.write(f"\n  {table} {pk} looks like an older one: {name!a}. It was not changed.\n")
            but = f" WHERE id NOT IN ({', '.join(str(pk) for pk, _name in found)})" if found else ""
            cursor.execute(f"DROP INDEX {index}")
            cursor.execute(f"CREATE UNIQUE INDEX {index} ON {table} ({owner}, skeleton){but}")


def by_lower_case(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for table, owner, index in UNIQUE:
            cursor.execute(f"DROP INDEX {index}")
            cursor.execute(f"CREATE UNIQUE INDEX {index} ON {table} ({owner}, lower(name))")


def skeleton(model: str) -> migrations.AddField:
    expression = models.Func(models.F("name"), function="name_skeleton")
    field = models.GeneratedField(db_persist=True, expression=expression, output_field=models.TextField())
    return migrations.AddField(model_name=model, name="skeleton", field=field)


def constraint(model: str, owner: str, name: str) -> list[migrations.operations.base.Operation]:
    return [
        migrations.RemoveConstraint(model_name=model, name=name),
        migrations.AddConstraint(model_name=model, constraint=models.UniqueConstraint(owner, "skeleton", name=name)),
    ]


class Migration(migrations.Migration):
    dependencies = [("messenger", "0017_folded_names")]
    operations = [
        skeleton("messengergroup"),
        skeleton("topic"),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(by_skeleton, by_lower_case)],
            state_operations=[
                *constraint("messengergroup", "tenancy", "group_name_unique_in_tenancy"),
                *constraint("topic", "group", "topic_name_unique_in_group"),
            ],
        ),
    ]
