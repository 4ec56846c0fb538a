"""Counts the words of a text."""

import re
from collections import Counter

from picofaas_runtime import HandlerError

WORD = re.compile("[a-z0-9\u0080-\U0010ffff]+")
# Of A to Z and no other letter.
LOWER_CASE = {capital: capital + 32 for capital in range(ord("A"), ord("Z") + 1)}
TOP_N_MAX = 1000


def handle(input):
    if not isinstance(input, dict) or not input.keys() <= {"text", "topN"}:
        raise bad("input: must have `text`, may have `topN`, and no other fields")
    text, top_n = input.get("text"), input.get("topN", 10)
    if not isinstance(text, str):
        raise bad("input.text: must be a string")
    if re.search("[\ud800-\udfff]", text):
        raise bad("input.text: half a surrogate pair is no character")
    # A whole number, which JSON may also write as 2.0. `True` is an `int`, too.
    if type(top_n) not in (int, float) or not 0 <= top_n <= TOP_N_MAX or top_n % 1 != 0:
        raise bad(f"input.topN: must be a whole number from 0 to {TOP_N_MAX}")
    return stats(text, int(top_n))


def stats(text, top_n):
    words = WORD.findall(text.translate(LOWER_CASE))
    counts = Counter(words)
    # The order of code points, which is that of strings, is also the one of their bytes in UTF-8.
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top_n]
    return {
        "words": len(words),
        "uniqueWords": len(counts),
        "characters": sum(map(len, words)),
        "topWords": [{"word": word, "count": count} for word, count in top],
    }


def bad(message):
    return HandlerError(400, "BAD_INPUT", message)
