"""A few thousand texts as payroll staff write them, with the HTML that the product renders from them."""

import random
from dataclasses import dataclass

from messenger.markup.markdown import prepare

COUNT = 3_000
WORDS = (
    "payroll run bank file approved treasury value date cut-off Germany Portugal Nigeria Brazil Japan input closes "
    "pension rates gross net payslip blocked missing tax number employee bonus instalment December holiday provider "
    "validated without error please confirm before noon the of and to in is for we will be at on with from all two "
    "three reports accruals leave closing archive transfer amount total currency account returned reissued thanks"
).split()
# Followed by a number, a word that is in one text only: for a search with few hits.
RARE = "reference"


@dataclass(frozen=True)
class MessageText:
    text: str
    html: str


def bodies(rng: random.Random, count: int = COUNT) -> list[MessageText]:
    return [MessageText(body.text, body.html) for body in (prepare(_text(rng, number)) for number in range(count))]


def _text(rng: random.Random, number: int) -> str:
    # Most messages are a line or two long, some fill a screen.
    length = min(int(rng.lognormvariate(2.9, 0.8)) + 2, 250)
    words = rng.choices(WORDS, k=length)
    if number % 5 == 0:
        words[0] = f"**{words[0]}**"
    if number % 7 == 0:
        words.append(f"https://payroll.example/runs/{number}")
    if number % 11 == 0:
        words.append("\n\n- " + "\n- ".join(rng.choices(WORDS, k=4)))
    if number % 13 == 0:
        words.append(f"{RARE}{number}")
    return " ".join(words).capitalize() + "."
