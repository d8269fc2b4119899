import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """MailChoice is renamed to MailPreference; the table keeps its name."""

    dependencies = [
        ("tenancy", "0005_names_revision"),
        ("messenger", "0013_positions_of_a_topic"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel("MailChoice", "MailPreference"),
                migrations.AlterModelTable("MailPreference", "messenger_mailchoice"),
                migrations.AlterField(
                    "MailPreference",
                    "member",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="mail_preference",
                        serialize=False,
                        to="tenancy.member",
                    ),
                ),
            ],
        ),
    ]
