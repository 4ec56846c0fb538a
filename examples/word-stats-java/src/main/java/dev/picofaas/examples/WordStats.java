// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.examples;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import com.fasterxml.jackson.core.io.NumberOutput;
import dev.picofaas.runtime.Context;
import dev.picofaas.runtime.FunctionHandler;
import dev.picofaas.runtime.FunctionName;
import dev.picofaas.runtime.HandlerException;
import java.math.BigDecimal;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Counts the words of a text. A word is a longest run of characters that Unicode calls alphabetic or numeric, in lower
 * case: {@code Don't} is {@code don} and {@code t}. Nothing is normalized beyond that.
 */
@FunctionName("word-stats")
public final class WordStats implements FunctionHandler<WordStats.Input, WordStats.Stats> {
    private static final char SIGMA = 'Σ';

    /** A text, and how many of its words to name. */
    public static final class Input {
        private final String text;
        @JsonProperty
        private long topN = 10;

        @JsonCreator
        Input(@JsonProperty(value = "text", required = true) String text) {
            this.text = text;
        }
    }

    /**
     * What is found.
     *
     * @param topWords the most frequent first, equally frequent ones in alphabetical order
     * @param averageLength characters per word; 0.0 for a text without words
     */
    @JsonPropertyOrder({"words", "uniqueWords", "topWords", "averageLength"})
    public record Stats(int words, int uniqueWords, List<WordCount> topWords, BigDecimal averageLength) {}

    @JsonPropertyOrder({"word", "count"})
    public record WordCount(String word, int count) {}

    @Override
    public Stats handle(Input input, Context context) throws HandlerException {
        if (input.text == null) {
            throw new HandlerException(400, "BAD_INPUT", "input.text: it is null, expected a string");
        }
        if (input.text.codePoints().anyMatch(point -> point >= Character.MIN_SURROGATE
                && point <= Character.MAX_SURROGATE)) {
            throw new HandlerException(400, "BAD_INPUT", "input.text: half a surrogate pair is no character");
        }
        if (input.topN < 0) {
            throw new HandlerException(400, "BAD_INPUT", "input.topN: " + input.topN + " is below 0");
        }
        return stats(input.text, input.topN);
    }

    static Stats stats(String text, long topN) {
        Map<String, Integer> counts = new HashMap<>();
        int words = 0;
        long characters = 0;
        int begin = 0;
        while (begin < text.length()) {
            int end = begin;
            int length = 0;
            while (end < text.length() && isAlphanumeric(text.codePointAt(end))) {
                end += Character.charCount(text.codePointAt(end));
                length++;
            }
            if (length > 0) {
                words++;
                characters += length;
                counts.merge(lowerCase(text.substring(begin, end)), 1, Integer::sum);
                begin = end;
            } else {
                begin += Character.charCount(text.codePointAt(begin));
            }
        }
        List<WordCount> top = counts.entrySet().stream()
            .map(entry -> new WordCount(entry.getKey(), entry.getValue()))
            .sorted(Comparator.comparingInt(WordCount::count).reversed()
                .thenComparing(WordCount::word, WordStats::byCodePoint))
            .limit(topN)
            .toList();
        double average = words == 0 ? 0 : (double) characters / words;
        return new Stats(words, counts.size(), top, shortest(average));
    }

    /** As Unicode has it: Java looks for the end of a word in its own way, which decides between σ and ς. */
    private static String lowerCase(String word) {
        if (word.indexOf(SIGMA) < 0) {
            return word.toLowerCase(Locale.ROOT);
        }
        int[] points = word.codePoints().toArray();
        StringBuilder lower = new StringBuilder(word.length());
        for (int at = 0; at < points.length; at++) {
            if (points[at] == SIGMA) {
                lower.append(isCased(points, at, -1) && !isCased(points, at, 1) ? 'ς' : 'σ');
            } else {
                lower.append(Character.toString(points[at]).toLowerCase(Locale.ROOT));
            }
        }
        return lower.toString();
    }

    /** Whether the next character in a direction has a case, those aside that case ignores. */
    private static boolean isCased(int[] points, int at, int step) {
        int next = at + step;
        while (next >= 0 && next < points.length && isIgnoredByCase(points[next])) {
            next += step;
        }
        return next >= 0 && next < points.length && (Character.isLowerCase(points[next])
            || Character.isUpperCase(points[next]) || Character.isTitleCase(points[next]));
    }

    private static boolean isIgnoredByCase(int point) {
        return switch (Character.getType(point)) {
            case Character.NON_SPACING_MARK, Character.ENCLOSING_MARK, Character.FORMAT, Character.MODIFIER_LETTER,
                Character.MODIFIER_SYMBOL -> true;
            default -> false;
        };
    }

    private static boolean isAlphanumeric(int point) {
        return Character.isAlphabetic(point) || switch (Character.getType(point)) {
            case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER -> true;
            default -> false;
        };
    }

    /** Alphabetical, as the bytes of UTF-8 are; the order of Java's own comparison is that of UTF-16. */
    private static int byCodePoint(String left, String right) {
        int at = 0;
        while (at < left.length() && at < right.length()) {
            int a = left.codePointAt(at);
            int b = right.codePointAt(at);
            if (a != b) {
                return Integer.compare(a, b);
            }
            at += Character.charCount(a);
        }
        return Integer.compare(left.length(), right.length());
    }

    /** The fewest digits that read back as the number, at least one of them behind the point, and no exponent. */
    private static BigDecimal shortest(double number) {
        BigDecimal shortest = new BigDecimal(NumberOutput.toString(number, true));
        return shortest.scale() < 1 ? shortest.setScale(1) : shortest;
    }
}
