"""One message to thousands of members (P7), beside bare SMTP over one connection."""

import smtplib
import statistics
import time

import redis

from bench import sink
from bench.load import Unusable, ask, one_of
from bench.proc import cpu_ms
from bench.scene import Scene
from bench.stack import Stack
from messenger.models import Delivery, Message
from messenger.notifications.delivery.mails import message_mail

PATIENCE_SECONDS = 40
FLOOR_MAILS = 1_000
FLOOR_TURNS = 3  # before ours, and as many after
USED = ("worker", "postgres", "sink")


def measure(running: Stack, scene: Scene) -> dict[str, float]:
    """Mails a second: ours, and the median of the floor's turns around it."""
    turns = [_floor(running, scene) for _ in range(FLOOR_TURNS)]
    running.start("worker")
    ours = _ours(running, scene)
    forget(running)
    running.stop("worker")
    turns += [_floor(running, scene) for _ in range(FLOOR_TURNS)]
    return {**ours, "floor M mails a second": statistics.median(turns)}


def _floor(running: Stack, scene: Scene) -> float:
    """Of the size that ours have, over one connection."""
    message = Message.objects.filter(topic=scene.crowds[max(scene.crowds)]).latest("sequence")
    text = message_mail(message, scene.crowd_member.member).message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]  # Django's own
    with smtplib.SMTP("127.0.0.1", running.home.smtp_port) as connection:
        begun = time.monotonic()
        for number in range(FLOOR_MAILS):
            connection.sendmail("messenger@bench.example", f"member{number}@crowd.example", text)
        return FLOOR_MAILS / (time.monotonic() - begun)


def _ours(running: Stack, scene: Scene) -> dict[str, float]:
    """From the post of a message to the last mail settled, or so far as patience goes."""
    topic = scene.crowds[max(scene.crowds)]
    _wait_for_worker(running)
    sink.reset(running.home.smtp_port)
    used = {name: cpu_ms(running.pids(name)) for name in USED}
    begun = time.monotonic()
    answer = ask(running.url("pages"), one_of(scene.post([topic], scene.crowd_member)))
    if answer.status != 201:
        raise Unusable(f"The message was answered {answer.status}.")
    message = Message.objects.filter(topic=topic).latest("sequence")
    deliveries = Delivery.objects.filter(message=message)
    while (took := time.monotonic() - begun) < PATIENCE_SECONDS:
        time.sleep(0.25)
        if deliveries.exists() and not deliveries.filter(state=Delivery.State.WAITING).exists():
            break
    settled = deliveries.filter(state=Delivery.State.SENT).count()
    took = time.monotonic() - begun
    taken = sink.taken(running.home.smtp_port)
    if settled == 0 or taken < settled:
        raise Unusable(f"{settled} mails are said to be sent, {taken} arrived.")
    costs = {f"{name}, CPU ms a mail": (cpu_ms(running.pids(name)) - used[name]) / settled for name in USED}
    return {"mails a second": settled / took, **costs}


def _wait_for_worker(running: Stack) -> None:
    """Until it has subscribed to its queue: its start is not part of a mail."""
    with redis.Redis.from_url(running.home.redis_url) as queue:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(one["cmd"] == "brpop" for one in queue.client_list()):
            if time.monotonic() > deadline:
                raise Unusable("The worker does not wait for work.")
            time.sleep(0.1)


def forget(running: Stack) -> None:
    """What is still queued, and the worker that may be in the midst of it: nobody measures it."""
    running.stop("worker")
    with redis.Redis.from_url(running.home.redis_url) as queue:
        queue.flushdb()
    running.start("worker")
