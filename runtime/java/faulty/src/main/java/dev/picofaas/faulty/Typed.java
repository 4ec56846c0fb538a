// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import dev.picofaas.runtime.Context;
import dev.picofaas.runtime.FunctionName;
import dev.picofaas.runtime.HandlerException;
import dev.picofaas.runtime.RawJson;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/** Functions by the types of their inputs and outputs. */
public final class Typed {
    private Typed() {}

    public enum Colour { RED, GREEN }

    public record Inner(Optional<LocalDate> day, OptionalInt count) {}

    /** One field of each type that functions have. */
    public record Types(LocalDate day, Instant at, Duration length, Optional<String> name, BigDecimal price,
        BigInteger number, Colour colour, Inner inner, List<Inner> more, Map<Colour, Instant> times) {}

    /** Returns the input, taken apart and put together. */
    @FunctionName("types")
    public static final class ByTypes extends Loading<Types, Types> {
        @Override
        public Types handle(Types input, Context context) {
            return input;
        }
    }

    /** A type that Jackson cannot make: it has no class to make it of. */
    public interface Shape {}

    public record Drawing(List<Shape> shapes) {}

    /** Takes what cannot be made. */
    @FunctionName("unmakeable")
    public static final class Unmakeable extends Loading<Drawing, Integer> {
        @Override
        public Integer handle(Drawing input, Context context) {
            return input.shapes().size();
        }
    }

    /** Refuses its values itself. */
    public record Checked(int count) {
        public Checked {
            if (count < 0) {
                throw new IllegalArgumentException("count is negative");
            }
            if (count > 9) {
                throw new CompletionException(new HandlerException(422, "TOO_MANY", "at most 9"));
            }
        }
    }

    /** Takes an input that refuses values. */
    @FunctionName("checked")
    public static final class Checking extends Loading<Checked, Integer> {
        @Override
        public Integer handle(Checked input, Context context) {
            return input.count();
        }
    }

    public record Floats(double plain, Float boxed, double[] many, List<Double> listed, JsonNode node, Object any) {}

    public record Keys(Map<Number, Integer> numbers, Map<Comparable<?>, Integer> any) {}

    /** Returns a number that is none, in the place that the input names. */
    @FunctionName("nan")
    public static final class NotANumber extends Loading<String, Object> {
        @Override
        public Object handle(String input, Context context) {
            double none = Double.NaN;
            return switch (input) {
                case "itself" -> none;
                case "plain" -> new Floats(none, 1f, new double[0], List.of(), null, null);
                case "boxed" -> new Floats(1, Float.NEGATIVE_INFINITY, new double[0], List.of(), null, null);
                case "many" -> new Floats(1, 1f, new double[] {1, none}, List.of(), null, null);
                case "listed" -> new Floats(1, 1f, new double[0], List.of(Double.POSITIVE_INFINITY), null, null);
                case "node" -> new Floats(1, 1f, new double[0], List.of(), DoubleNode.valueOf(none), null);
                case "any" -> new Floats(1, 1f, new double[0], List.of(), null, Map.of("deep", List.of(none)));
                case "raw" -> new RawJson("{\"in\":[NaN]}");
                case "key" -> Map.of(none, 1);
                case "key of floats" -> Map.of("in", Map.of(Float.POSITIVE_INFINITY, 1));
                case "key of numbers" -> new Keys(Map.of(none, 1), Map.of());
                case "key of any" -> new Keys(Map.of(), Map.of(none, 1));
                case "keys" -> List.of(Map.of(0.5, 1), Map.of(-2f, 1), Map.of("NaN", 1),
                    new Keys(Map.of(3, 1), Map.of("4", 1)));
                case "two" -> List.of(new RawJson("1 2"));
                default -> new Floats(0.5, 1f, new double[] {1e300}, List.of(-0.0), DoubleNode.valueOf(2), "NaN");
            };
        }
    }

    /** Fails with 422 MINE, or finally with 503 MINE, within other exceptions. */
    @FunctionName("wrapped")
    public static final class Wrapped extends Loading<String, Object> {
        @Override
        public Object handle(String input, Context context) throws Exception {
            HandlerException chosen = new HandlerException(422, "MINE", "my own");
            switch (input) {
                case "thrown" -> throw new IllegalStateException("wrapped", chosen);
                case "checked" -> throw new ExecutionException(new UncheckedIOException(new IOException(chosen)));
                case "future" -> {
                    return CompletableFuture.failedFuture(new CompletionException(new CompletionException(chosen)));
                }
                case "final" -> throw new IllegalStateException(
                    new HandlerException(503, "MINE", "my own").notRetryable());
                case "outer" -> throw new HandlerException(409, "OUTER", "it counts", chosen);
                default -> {
                    IllegalStateException circle = new IllegalStateException("around");
                    circle.initCause(new IllegalStateException("and around", circle));
                    throw circle;
                }
            }
        }
    }

    /** Returns the promise of the input, or of a failure. */
    @FunctionName("later")
    public static final class Later extends Loading<RawJson, CompletableFuture<RawJson>> {
        @Override
        public CompletableFuture<RawJson> handle(RawJson input, Context context) {
            return CompletableFuture.supplyAsync(() -> {
                if (input.text().equals("\"fail\"")) {
                    throw new CompletionException(new HandlerException(422, "LATE", "it failed later"));
                }
                if (input.text().equals("\"throw\"")) {
                    throw new IllegalStateException("thrown later");
                }
                return input;
            });
        }
    }
}
