// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
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
    void equallyFrequentWordsComeInAlphabeticalOrderAndAreCutAfterSorting() {
        assertEquals(List.of(count("b", 2), count("c", 2), count("a", 1)), top("c d b c b a", 3));
        assertEquals(List.of(), top("c d b c b a", 0));
        // U+FFDA before U+10400, which UTF-16 has the other way round.
        assertEquals(List.of(count("\uffda", 1), count("\ud801\udc28", 1)), top("\ud801\udc00 \uffda", 2));
    }

    @Test
    void wordsAreRunsOfLettersAndDigitsOfAnyScriptInLowerCase() {
        WordStats.Stats stats = WordStats.stats("Été, ÉTÉ – don't 4x4! 東京", 99);
        assertEquals(6, stats.words());
        assertEquals(5, stats.uniqueWords());
        assertEquals(count("été", 2), stats.topWords().get(0));
        assertEquals(new BigDecimal("2.5"), stats.averageLength());
    }

    @Test
    void aSigmaIsFinalBehindALetterWithCaseAndBeforeNone() {
        assertEquals(List.of(count("z²σ", 1), count("σ", 1), count("σας", 1)), top("ΣΑΣ Z²Σ Σ", 9));
    }

    @Test
    void aTextWithoutWordsGivesZeros() {
        for (String text : List.of("", " …!\n")) {
            assertEquals(new WordStats.Stats(0, 0, List.of(), new BigDecimal("0.0")), WordStats.stats(text, 10));
        }
    }
}
