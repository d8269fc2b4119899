"""Goal P7: one message is mailed to thousands of members, compared with bare SMTP over one connection (floor M)."""

import smtplib
import statistics
import time

import redis

from bench import sink
from bench.load import BenchError, send, single_request
from bench.proc import cpu_ms
from bench.scene import Scene
from bench.stack import Stack
from messenger.models import Delivery, Message
from messenger.notifications.delivery.mails import message_mail

TIMEOUT_SECONDS = 40
FLOOR_MAILS = 1_000
FLOOR_TURNS = 3  # before the product's mails, and as many after them
PROGRAMS = ("worker", "postgres", "sink")


def measure(running: Stack, scene: Scene) -> dict[str, float]:
    """Mails a second: of the product, and the median of the floor's turns before and after it.

    Also the CPU time in milliseconds that each program takes for one of the product's mails.
    """
    turns = [_measure_floor(running, scene) for _ in range(FLOOR_TURNS)]
    running.start("worker")
    ours = _measure_product(running, scene)
    discard_queue(running)
    running.stop("worker")
    turns += [_measure_floor(running, scene) for _ in range(FLOOR_TURNS)]
    return {**ours, "floor M mails a second": statistics.median(turns)}


def _measure_floor(running: Stack, scene: Scene) -> float:
    """Send copies of one of the product's mails over a single connection."""
    message = Message.objects.filter(topic=scene.crowds[max(scene.crowds)]).latest("sequence")
    text = message_mail(message, scene.crowd_member.member).message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]  # Django's own
    with smtplib.SMTP("127.0.0.1", running.home.smtp_port) as connection:
        begun = time.monotonic()
        for number in range(FLOOR_MAILS):
            connection.sendmail("messenger@bench.example", f"member{number}@crowd.example", text)
        return FLOOR_MAILS / (time.monotonic() - begun)


def _measure_product(running: Stack, scene: Scene) -> dict[str, float]:
    """Measure from posting a message until all of its deliveries are settled, at most TIMEOUT_SECONDS."""
    topic = scene.crowds[max(scene.crowds)]
    _wait_for_worker(running)
    sink.reset(running.home.smtp_port)
    cpu_before = {name: cpu_ms(running.pids(name)) for name in PROGRAMS}
    begun = time.monotonic()
    response = send(running.url("pages"), single_request(scene.post([topic], scene.crowd_member)))
    if response.status != 201:
        raise BenchError(f"Posting the message returned {response.status}.")
    message = Message.objects.filter(topic=topic).latest("sequence")
    deliveries = Delivery.objects.filter(message=message)
    while (took := time.monotonic() - begun) < TIMEOUT_SECONDS:
        time.sleep(0.25)
        if deliveries.exists() and not deliveries.filter(state=Delivery.State.WAITING).exists():
            break
    settled = deliveries.filter(state=Delivery.State.SENT).count()
    took = time.monotonic() - begun
    received = sink.received(running.home.smtp_port)
    if settled == 0 or received < settled:
        raise BenchError(f"{settled} mails are marked as sent, but {received} arrived.")
    costs = {f"{name}, CPU ms a mail": (cpu_ms(running.pids(name)) - cpu_before[name]) / settled for name in PROGRAMS}
    return {"mails a second": settled / took, **costs}


def _wait_for_worker(running: Stack) -> None:
    """Wait until the worker polls its queue: its start should not be measured."""
    with redis.Redis.from_url(running.home.redis_url) as queue:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not any(client["cmd"] == "brpop" for client in queue.client_list()):
            if time.monotonic() > deadline:
                raise BenchError("The worker does not poll its queue.")
            time.sleep(0.1)


def discard_queue(running: Stack) -> None:
    """Drop all queued tasks and restart the worker, which may be in the middle of one: they are not to be measured."""
    running.stop("worker")
    with redis.Redis.from_url(running.home.redis_url) as queue:
        queue.flushdb()
    running.start("worker")
