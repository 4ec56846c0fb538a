// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.examples;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import dev.picofaas.runtime.Context;
import dev.picofaas.runtime.FunctionHandler;
import dev.picofaas.runtime.FunctionName;
import dev.picofaas.runtime.HandlerException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Counts the words of a text. */
@FunctionName("word-stats")
public final class WordStats implements FunctionHandler<WordStats.Input, WordStats.Stats> {
    private static final Pattern WORD = Pattern.compile("[a-zA-Z0-9\\x{80}-\\x{10ffff}]+");
    private static final int TOP_N_MAX = 1000;

    /** A text, and how many of its words to name. */
    public static final class Input {
        private final String text;
        /** A whole number, which JSON may also write as 2.0. */
        @JsonProperty
        private double topN = 10;

        @JsonCreator
        Input(@JsonProperty(value = "text", required = true) String text) {
            this.text = text;
        }
    }

    @JsonPropertyOrder({"words", "uniqueWords", "characters", "topWords"})
    public record Stats(int words, int uniqueWords, int characters, List<WordCount> topWords) {}

    @JsonPropertyOrder({"word", "count"})
    public record WordCount(String word, int count) {}

    @Override
    public Stats handle(Input input, Context context) throws HandlerException {
        if (input.text == null) {
            throw new HandlerException(400, "BAD_INPUT", "input.text: must be a string");
        }
        if (!StandardCharsets.UTF_8.newEncoder().canEncode(input.text)) {
            throw new HandlerException(400, "BAD_INPUT", "input.text: half a surrogate pair is no character");
        }
        if (input.topN % 1 != 0 || input.topN < 0 || input.topN > TOP_N_MAX) {
            throw new HandlerException(400, "BAD_INPUT",
                "input.topN: must be a whole number from 0 to " + TOP_N_MAX);
        }
        return stats(input.text, (int) input.topN);
    }

    static Stats stats(String text, int topN) {
        Map<String, Integer> counts = new HashMap<>();
        int words = 0;
        int characters = 0;
        Matcher matcher = WORD.matcher(text);
        while (matcher.find()) {
            String word = lowerCase(matcher.group());
            words++;
            characters += word.codePointCount(0, word.length());
            counts.merge(word, 1, Integer::sum);
        }
        List<WordCount> top = counts.entrySet().stream()
            .map(entry -> new WordCount(entry.getKey(), entry.getValue()))
            .sorted(Comparator.comparingInt(WordCount::count).reversed()
                .thenComparing(WordCount::word, WordStats::byBytes))
            .limit(topN)
            .toList();
        return new Stats(words, counts.size(), characters, top);
    }

    /** Of A to Z and no other letter. */
    private static String lowerCase(String word) {
        char[] characters = word.toCharArray();
        for (int at = 0; at < characters.length; at++) {
            if (characters[at] >= 'A' && characters[at] <= 'Z') {
                characters[at] += 'a' - 'A';
            }
        }
        return new String(characters);
    }

    /** Java's own order is that of UTF-16, which has U+10000 before U+FFFD. */
    private static int byBytes(String left, String right) {
        return Arrays.compareUnsigned(left.getBytes(StandardCharsets.UTF_8), right.getBytes(StandardCharsets.UTF_8));
    }
}
