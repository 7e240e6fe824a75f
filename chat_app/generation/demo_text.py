"""What the demo model says: Markdown of every kind, chosen by a seed."""

import functools
import hashlib
import re
from dataclasses import dataclass

from chat_app.generation.llm import Delta

# Up to nine characters of a word or of punctuation, with the space before them; or only space.
_PIECE = re.compile(r"\s*\w{1,9}|\s*[^\w\s]{1,9}|\s+")

_GREETINGS = (
    "Hello! 👋 You are talking to the **built-in demo model**.",
    "Hi there! 🙂 This is the **built-in demo model** speaking.",
    "Welcome! ✨ The **built-in demo model** is at your service.",
    "Good to see you! 🌱 I am the **built-in demo model**.",
)

_ABOUT = (
    (
        "I need *no key* and no network: I am a few pages of text that arrive piece by piece, so that "
        "you can see how this chat treats an answer **while it is being written**."
    ),
    (
        "No key, no account, no network. I do *not* understand your question, I am afraid, but I do "
        "stream like a real model, and that is what there is to see here."
    ),
    (
        "Nothing you write leaves this machine. I answer from a small, fixed collection of texts; the "
        "same message always gets the *same* answer, down to the last character."
    ),
)

_TRIES = (
    "**Refresh the page** right now, in the middle of this sentence. The answer goes on.",
    "**Open a second tab** with this chat: both show the same words at the same moment.",
    "Press **Stop**: what I have said so far stays, in this tab and in every other one.",
    "**Close the laptop** for a minute. Nothing is lost; you only miss the show. 💤",
    "Go **offline** for a moment: the answer does not wait for you, and you miss none of it.",
)

_DIRECTIVES = (
    "Send `/demo tokens=2000 rate=100` for a long answer, or `/demo help` for all I can do.",
    "With `/demo tokens=1000 pause=5@300` I fall silent for five seconds along the way.",
    "Curious what a failing provider looks like? Try `/demo fail=120`.",
)

_TOPICS = (
    """## Why tea tastes better in the second pot 🍵

The first water wakes the leaves; the second one *meets them awake*. Three things decide:

| tea | water | time |
|:----|------:|-----:|
| green, 煎茶 | 70 °C | 1 min |
| oolong, 烏龍 | 90 °C | 2 min |
| black | 98 °C | 4 min |

1. Warm the pot.
2. Use **more** leaves than you think, and *less* time.
3. Pour out the last drop: it is the best one.

> A hurried cup is only hot water with a memory.
""",
    """## How a bicycle stays up 🚲

Push a riderless bicycle and it rolls on, upright, for a surprisingly long way. It is **not** only
the spinning wheels:

- the front wheel *steers into the fall*, which brings the wheels back under the weight;
- the steering axis meets the ground ahead of the wheel, so the wheel **trails**, like a castor;
- a lean of angle θ at speed *v* settles into a curve of radius r ≈ v² / (g · tan θ).

| speed | radius at θ = 15° |
|------:|------------------:|
| 10 km/h | 2.9 m |
| 20 km/h | 11.7 m |
| 30 km/h | 26.4 m |

> To turn right, one first steers a little to the left. Try *not* to think of it while riding.
""",
    """## The day the map had no edges 🗺️

Every flat map lies, and each chooses its lie. Mercator keeps **angles** and pays with *areas*:

| place | on the map | in truth |
|:------|:----------:|---------:|
| Greenland | as big as Africa | 2.2 million km² |
| Africa | as big as Greenland | 30 million km² |
| Kraków → Łódź | a straight line | nearly one |

Sailors did not mind. A line of constant bearing is straight there, and that is all a helmsman
asks for.

> “Which map is right?” asked the child. “The one you fold up when you have arrived.”
""",
    """## Bread, explained by a baker in a hurry 🥖

Flour, water, salt, and time — *surtout du temps*. In a **baguette** the numbers are simple:

- 100 parts of flour
- 68 parts of water
- 2 parts of salt
- ½ part of yeast, or less and a night's patience

| stage | how long | what happens |
|:------|:--------:|:-------------|
| autolyse | 30 min | gluten forms by itself |
| bulk | 3 h | the dough doubles |
| baking | 22 min | crust at 250 °C |

> Das Geheimnis? Größere Blasen brauchen mehr Wasser — und ruhige Hände.
""",
    """## What an octopus knows 🐙

Two thirds of its neurons are **in the arms**. An arm can taste, decide and act while the head is
busy with something else:

1. three hearts, and blue blood;
2. no bones, so a 15 kg animal fits through a gap of 3 cm;
3. *skin that sees*: it holds the light-sensitive proteins of the eye.

| animal | neurons |
|:-------|--------:|
| honey bee | 1 million |
| octopus | 500 million |
| dog | 2 250 million |

> Nobody has ever asked an octopus a question and got *one* answer. There are at least nine.
""",
    """## A short walk through prime numbers 🔢

Between *n* and 2*n* there is **always** a prime; Чебышёв proved it in 1852. They thin out, but
slowly: near *n*, about one number in ln *n* is prime.

| up to | primes | n / ln n |
|------:|-------:|---------:|
| 100 | 25 | 22 |
| 10 000 | 1 229 | 1 086 |
| 1 000 000 | 78 498 | 72 382 |

- Twin primes: (11, 13), (17, 19), (29, 31) …
- Infinitely many of those? **Unknown** — ∞ or not ∞, that is the question.

> 1 729 is not prime, but it once took a taxi. 🚕
""",
)

_CODES = (
    '''A few lines of Python that do what this model does:

```python
import asyncio


async def stream(text: str):
    """Yield `text` a word at a time."""
    for word in text.split():
        yield word + " "
        await asyncio.sleep(1 / 40)
```
''',
    """The browser's half of the story is short as well:

```javascript
const source = new EventSource("/api/chat?chatId=42");
source.onmessage = ({ data, lastEventId }) => {
  console.log(lastEventId, JSON.parse(data)); // 1, 2, 3 … no holes
};
```
""",
    """You can watch an answer from a terminal, too:

```bash
curl --no-buffer --cookie "$COOKIE" "http://localhost:3000/api/chat?chatId=$CHAT"
# id: 17
# data: {"type":"text-delta","id":"…","delta":"Hello"}
```
""",
    """Under the hood, one line of Redis per event is all it takes:

```redis
XADD chat:{42} 17-0 frame "id: 17\\ndata: …\\n\\n"
XRANGE chat:{42} 18-0 +
```
""",
)

_CLOSINGS = (
    (
        "To talk to a real model, set `CHAT_MODEL` and the provider's key; the list of providers is in "
        "the [LiteLLM documentation](https://docs.litellm.ai/docs/providers). Have fun! 🎈"
    ),
    (
        "When you are ready for a *real* model, put `CHAT_MODEL=provider/model` and a key into `.env`; "
        "[here are the names](https://docs.litellm.ai/docs/providers). À bientôt! 🌍"
    ),
    (
        "That was all of me. A real model is one setting away (`CHAT_MODEL`, see the "
        "[providers](https://docs.litellm.ai/docs/providers)); the streaming stays just like this. 🚀"
    ),
)

_NEXT = "\n---\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoText:
    """A text in pieces, and how many of them make a natural answer.

    Attributes:
        pieces: The whole text, in an order that the seed chooses; to be repeated from the start if
            more is needed.
        natural: How many pieces, from the first, make a complete answer.
    """

    pieces: tuple[Delta, ...]
    natural: int


def demo_text(seed: str) -> DemoText:
    """The text for `seed`: the same in every process and on every machine."""
    return _composed(hashlib.blake2b(seed.encode(errors="replace"), digest_size=8).digest())


@functools.lru_cache(maxsize=32)
def _composed(digest: bytes) -> DemoText:
    answer = _pieces(_answer(digest))
    further = [
        _NEXT + _section(topic=digest[4] + number, code=digest[5] + number)
        for number in range(1, len(_TOPICS))
    ]
    pieces = (*answer, *_pieces("".join([*further, _NEXT])))
    return DemoText(pieces=pieces, natural=len(answer))


def plain_text(text: str) -> DemoText:
    """`text` itself, in pieces."""
    pieces = _pieces(text)
    return DemoText(pieces=pieces, natural=len(pieces))


def _answer(digest: bytes) -> str:
    tries = [_TRIES[(digest[2] + number) % len(_TRIES)] for number in range(3)]
    tries.append(_DIRECTIVES[digest[3] % len(_DIRECTIVES)])
    paragraphs = (
        _GREETINGS[digest[0] % len(_GREETINGS)],
        _ABOUT[digest[1] % len(_ABOUT)],
        "### Things to try while I talk",
        "\n".join(f"- {text}" for text in tries),
        _section(topic=digest[4], code=digest[5]) + "\n---",
        _CLOSINGS[digest[6] % len(_CLOSINGS)],
    )
    return "\n\n".join(paragraphs) + "\n"


def _section(*, topic: int, code: int) -> str:
    return f"{_TOPICS[topic % len(_TOPICS)]}\n{_CODES[code % len(_CODES)]}"


def _pieces(text: str) -> tuple[Delta, ...]:
    return tuple(Delta(text=piece) for piece in _PIECE.findall(text))
