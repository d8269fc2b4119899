"""What search reads: a column with the words of each message, without accents, and its indexes.

The column `search` exists in PostgreSQL only. The models do not declare it, so that nothing loads it.
"""

from django.contrib.postgres.operations import BtreeGinExtension, UnaccentExtension
from django.db import migrations, models

# A generated column refuses `unaccent()`, which is not immutable, but accepts a text search configuration.
CONFIGURATION = """
CREATE TEXT SEARCH CONFIGURATION messenger_text (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION messenger_text
    ALTER MAPPING FOR hword, hword_part, word, numhword, hword_numpart, numword WITH unaccent, simple;
"""
# Characters that join words, or look like markup, end a word: the parser would take "wages/salaries" for a file,
# "done.Next" for a host and the end of "INV-4711" for a negative number. messenger/search/query.py does the same.
COLUMN = r"""
ALTER TABLE messenger_message ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
    to_tsvector('messenger_text'::regconfig, translate(body, '-/.@_:\<>&', '          '))
) STORED;
"""
# No pending list (fastupdate): with it, each search would read the recent posts one by one, and now and then one post
# would wait until all of them are sorted in. With tenancy, topic and author in the index, a word that is frequent
# everywhere costs no more than the few messages that are searched.
INDEX = """
CREATE INDEX message_search ON messenger_message
    USING gin (tenancy_id, topic_id, author_id, search) WITH (fastupdate = off);
"""


class Migration(migrations.Migration):
    dependencies = [("messenger", "0006_references_of_edits_within_a_tenancy")]
    operations = [
        UnaccentExtension(),
        BtreeGinExtension(),
        migrations.RunSQL(CONFIGURATION, "DROP TEXT SEARCH CONFIGURATION messenger_text"),
        migrations.RunSQL(COLUMN, "ALTER TABLE messenger_message DROP COLUMN search"),
        migrations.RunSQL(INDEX, "DROP INDEX message_search"),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["tenancy", "-posted_at", "-id"], name="message_newest_of_tenancy"),
        ),
    ]
