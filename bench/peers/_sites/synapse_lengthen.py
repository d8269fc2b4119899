"""Fills a room of Synapse with messages up to a given number, by COPY, while no server runs.

The room already contains a message of every member. They serve as templates: the new ones are hashed, signed and
chained as Synapse does it. Not written are the counts of unread messages that Synapse stores for absent members.
"""

import csv
import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import psycopg2
from signedjson.key import read_signing_keys
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.crypto.event_signing import add_hashes_and_signatures
from synapse.events import make_event_from_dict

Row = tuple[object, ...]
REPLACED_FIELDS = ("hashes", "signatures", "unsigned")
TEMPLATES = """
    SELECT json, state_group, metadata.internal_metadata, room_version
    FROM events JOIN event_json AS metadata USING (event_id) JOIN event_to_state_groups USING (event_id)
         JOIN rooms ON rooms.room_id = events.room_id
    WHERE events.room_id = %s AND type = 'm.room.message' ORDER BY stream_ordering
"""
TABLES = {
    "events": "topological_ordering, event_id, type, room_id, processed, outlier, depth, origin_server_ts, "
    "received_ts, sender, contains_url, instance_name, stream_ordering",
    "event_json": "event_id, room_id, internal_metadata, json, format_version",
    "event_to_state_groups": "event_id, state_group",
    "event_edges": "event_id, prev_event_id, is_state",
}
INDEX_FOR_SEARCH = """
    INSERT INTO event_search (event_id, room_id, key, vector, origin_server_ts, stream_ordering)
    SELECT event_id, events.room_id, 'content.body', to_tsvector('english', json::json #>> '{content,body}'),
           origin_server_ts, stream_ordering
    FROM events JOIN event_json USING (event_id)
    WHERE events.room_id = %s AND stream_ordering > %s
"""


def main(folder: Path, room: str, first: int, last: int) -> None:
    connection = psycopg2.connect("")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM events_stream_seq")
        start = cursor.fetchone()[0]
        cursor.execute(TEMPLATES, [room])
        with open(folder / "signing.key") as key:
            messages = list(_messages(cursor.fetchall(), read_signing_keys(key)[0], start, first, last))
        for table, columns in TABLES.items():
            rows = _csv(message[table] for message in messages)
            cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv)", rows)
        cursor.execute(INDEX_FOR_SEARCH, [room, start])
        end = start + len(messages)
        cursor.execute("SELECT setval('events_stream_seq', %s)", [end])
        cursor.execute("UPDATE stream_positions SET stream_id = %s WHERE stream_name = 'events'", [end])
        cursor.execute("DELETE FROM event_forward_extremities WHERE room_id = %s", [room])
        newest = messages[-1]["event_json"][0]
        cursor.execute("INSERT INTO event_forward_extremities (event_id, room_id) VALUES (%s, %s)", [newest, room])
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    connection.close()


def _messages(existing: list[Any], key: Any, start: int, first: int, last: int) -> Iterator[dict[str, Row]]:
    """The rows of each new message, by table."""
    templates = [(json.loads(text), state_group, metadata) for text, state_group, metadata, _ in existing]
    version = KNOWN_ROOM_VERSIONS[existing[0][3]]
    newest = templates[-1][0]
    depth, previous = newest["depth"], make_event_from_dict(newest, version).event_id
    now = int(time.time() * 1000)
    for number in range(first, last + 1):
        template, state_group, metadata = templates[number % len(templates)]
        event = {name: value for name, value in template.items() if name not in REPLACED_FIELDS}
        text = template["content"]["body"].partition(":")[2]
        depth += 1
        event |= {
            "content": {"msgtype": "m.text", "body": f"Message {number}:{text}"},
            "depth": depth,
            "prev_events": [previous],
            "origin_server_ts": now - 1000 * (last - number),
        }
        add_hashes_and_signatures(version, event, event["sender"].partition(":")[2], key)
        event_id = make_event_from_dict(event, version).event_id
        room, at, stream = event["room_id"], event["origin_server_ts"], start + 1 + number - first
        yield {
            "events": (
                *(depth, event_id, event["type"], room, True, False, depth, at, at),
                *(event["sender"], False, "master", stream),
            ),
            "event_json": (event_id, room, metadata, json.dumps(event), version.event_format),
            "event_to_state_groups": (event_id, state_group),
            "event_edges": (event_id, previous, False),
        }
        previous = event_id


def _csv(rows: Iterator[Row]) -> TextIO:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    text.seek(0)
    return text


main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
