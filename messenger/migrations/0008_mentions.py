import django.db.models.deletion
from django.db import migrations, models

REFERENCES = [
    # columns, referenced table and columns, name
    ("topic_id, tenancy_id", "messenger_topic (id, tenancy_id)", "mention_topic_same_tenancy"),
    ("topic_id, sequence", "messenger_message (topic_id, sequence)", "mention_of_a_message"),
    ("member_id, tenancy_id", "tenancy_member (id, tenancy_id)", "mention_member_same_tenancy"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("messenger", "0007_search"),
        ("tenancy", "0004_edit_minutes"),
    ]

    operations = [
        migrations.CreateModel(
            name="Mention",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sequence", models.PositiveBigIntegerField()),
                (
                    "member",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.member",
                    ),
                ),
                (
                    "tenancy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenancy"
                    ),
                ),
                (
                    "topic",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="messenger.topic",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["member", "topic", "sequence"], name="mention_of_member")],
                "constraints": [
                    models.UniqueConstraint(fields=("topic", "sequence", "member"), name="mention_once")
                ],
            },
        ),
        *[
            migrations.RunSQL(
                f"ALTER TABLE messenger_mention ADD CONSTRAINT {name} FOREIGN KEY ({columns}) REFERENCES {referenced} "
                "DEFERRABLE INITIALLY DEFERRED",
                f"ALTER TABLE messenger_mention DROP CONSTRAINT {name}",
            )
            for columns, referenced, name in REFERENCES
        ],
    ]
