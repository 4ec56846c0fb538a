// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class WordStatsTest {
    private static List<WordStats.WordCount> top(String text, int topN) {
        return WordStats.stats(text, topN).topWords();
    }

    private static WordStats.WordCount count(String word, int count) {
        return new WordStats.WordCount(word, count);
    }

    @Test
    void equallyFrequentWordsComeInTheOrderOfTheirBytesAndAreCutAfterSorting() {
        assertEquals(List.of(count("b", 2), count("c", 2), count("a", 1)), top("c d b c b a", 3));
        assertEquals(List.of(), top("c d b c b a", 0));
        // U+FFDA before U+10400, which UTF-16 has the other way round.
        assertEquals(List.of(count("\uffda", 1), count("\ud801\udc00", 1)), top("\ud801\udc00 \uffda", 2));
    }

    @Test
    void wordsAreAsciiLettersAndDigitsInLowerCaseAndWhateverIsNotAscii() {
        WordStats.Stats stats = WordStats.stats("Été, éTÉ don't 4x4! 東京", 99);
        assertEquals(6, stats.words());
        assertEquals(6, stats.uniqueWords());
        assertEquals(15, stats.characters());
        assertEquals(List.of("4x4", "don", "t", "Été", "étÉ", "東京"),
            stats.topWords().stream().map(WordStats.WordCount::word).toList());
    }

    @Test
    void aTextWithoutWordsGivesZeros() {
        for (String text : List.of("", " .!\n\0\u007f")) {
            assertEquals(new WordStats.Stats(0, 0, 0, List.of()), WordStats.stats(text, 10));
        }
    }
}
