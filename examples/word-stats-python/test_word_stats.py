import json
import pathlib
import re
import unittest

from picofaas_runtime import HandlerError
from word_stats import handle

HERE = pathlib.Path(__file__).parent


def top(text, top_n=10):
    return [(top["word"], top["count"]) for top in handle({"text": text, "topN": top_n})["topWords"]]


class WordStats(unittest.TestCase):
    def test_equally_frequent_words_come_in_the_order_of_their_bytes_and_are_cut_after_sorting(self):
        self.assertEqual(top("c d b c b a", 3), [("b", 2), ("c", 2), ("a", 1)])
        self.assertEqual(top("c d b c b a", 0), [])
        self.assertEqual(top("\U00010400 \uffda"), [("\uffda", 1), ("\U00010400", 1)])

    def test_words_are_ascii_letters_and_digits_in_lower_case_and_whatever_is_not_ascii(self):
        stats = handle({"text": "Été, éTÉ don't 4x4! 東京"})
        self.assertEqual((stats["words"], stats["uniqueWords"], stats["characters"]), (6, 6, 15))
        words = [top["word"] for top in stats["topWords"]]
        self.assertEqual(words, ["4x4", "don", "t", "Été", "étÉ", "東京"])

    def test_a_text_without_words_gives_zeros(self):
        for text in ["", " .!\n\0\x7f"]:
            nothing = {"words": 0, "uniqueWords": 0, "characters": 0, "topWords": []}
            self.assertEqual(handle({"text": text}), nothing)

    def test_what_is_wrong_is_the_callers_fault(self):
        wrong = [[], {}, {"text": 7}, {"text": "\ud800"}, {"text": "a", "more": 1}]
        wrong += [{"text": "a", "topN": n} for n in (-1, 1001, 1.5, None, True, "2", float("inf"), float("nan"))]
        for input in wrong:
            with self.subTest(input=repr(input)), self.assertRaises(HandlerError) as raised:
                handle(input)
            self.assertEqual((raised.exception.status, raised.exception.code), (400, "BAD_INPUT"))

    def test_the_input_in_the_manifest_gives_the_output_in_the_readme(self):
        manifest = (HERE / "function.yaml").read_text("utf-8")
        example = re.search("example-input: '(.*)'", manifest)[1]
        output = json.dumps(handle(json.loads(example)), separators=(",", ":"))
        self.assertIn(f"# {output}", (HERE / "README.md").read_text("utf-8").splitlines())


if __name__ == "__main__":
    unittest.main()
