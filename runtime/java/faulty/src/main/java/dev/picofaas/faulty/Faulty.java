// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import dev.picofaas.runtime.Context;
import dev.picofaas.runtime.FunctionHandler;
import dev.picofaas.runtime.FunctionName;
import dev.picofaas.runtime.HandlerException;
import dev.picofaas.runtime.RawJson;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

/** A function that goes wrong in the way its HANDLER says, for tests from outside. */
public final class Faulty {
    private Faulty() {}

    /** Returns the input. */
    @FunctionName("echo")
    public static final class Echo implements FunctionHandler<RawJson, RawJson> {
        @Override
        public RawJson handle(RawJson input, Context context) {
            return input;
        }
    }

    /** All that the context says; what is not there is null. */
    public record Circumstances(RawJson input, String executionId, String traceId, String traceparent, int attempt,
        Long leftMs, String idempotencyKey, Map<String, String> metadata) {}

    /** Returns the input and all that the context says. */
    @FunctionName("context")
    public static final class Circumstantial implements FunctionHandler<RawJson, Circumstances> {
        @Override
        public Circumstances handle(RawJson input, Context context) {
            return new Circumstances(input, context.executionId(), context.traceId().orElse(null),
                context.traceparent().orElse(null), context.attempt(),
                context.timeLeft().map(Duration::toMillis).orElse(null), context.idempotencyKey().orElse(null),
                context.metadata());
        }
    }

    public record Sleep(long ms) {}

    /** Waits input.ms milliseconds, then returns the input. */
    @FunctionName("sleep")
    public static final class Sleeping implements FunctionHandler<Sleep, Sleep> {
        @Override
        public Sleep handle(Sleep input, Context context) throws InterruptedException {
            Thread.sleep(input.ms());
            return input;
        }
    }

    /** Never answers, and says when it was interrupted. */
    @FunctionName("never")
    public static final class Never implements FunctionHandler<JsonNode, Void> {
        @Override
        public Void handle(JsonNode input, Context context) throws InterruptedException {
            context.log("waiting");
            try {
                new CountDownLatch(1).await();
            } finally {
                context.log("interrupted");
            }
            return null;
        }
    }

    /** Never answers and does not let itself be interrupted. */
    @FunctionName("stubborn")
    public static final class Stubborn implements FunctionHandler<JsonNode, Void> {
        @Override
        public Void handle(JsonNode input, Context context) {
            while (true) {
                try {
                    new CountDownLatch(1).await();
                } catch (InterruptedException ignored) {
                    context.log("ignored");
                }
            }
        }
    }

    /** Throws, with the input as its message. */
    @FunctionName("panic")
    public static final class Panic implements FunctionHandler<JsonNode, Void> {
        @Override
        public Void handle(JsonNode input, Context context) {
            throw new IllegalStateException(input.asText("told to panic"));
        }
    }

    /** Recurses without end. */
    @FunctionName("overflow")
    public static final class Overflow implements FunctionHandler<JsonNode, Integer> {
        @Override
        public Integer handle(JsonNode input, Context context) {
            return 1 + handle(input, context);
        }
    }

    public record Status(int status, @JsonProperty(required = true) String code, String message) {}

    /** Fails with input.status, input.code, input.message. */
    @FunctionName("status")
    public static final class Failing implements FunctionHandler<Status, Void> {
        @Override
        public Void handle(Status input, Context context) throws HandlerException {
            throw new HandlerException(input.status(), input.code(), input.message());
        }
    }

    /** Ends the process with code 3 in the middle of the request. */
    @FunctionName("exit")
    public static final class Exit implements FunctionHandler<JsonNode, Void> {
        @Override
        public Void handle(JsonNode input, Context context) {
            System.exit(3);
            return null;
        }
    }

    /** Returns a list that holds itself. */
    @FunctionName("endless")
    public static final class Endless implements FunctionHandler<JsonNode, List<Object>> {
        @Override
        public List<Object> handle(JsonNode input, Context context) {
            List<Object> endless = new ArrayList<>();
            endless.add(endless);
            return endless;
        }
    }

    /** Logs the input. */
    @FunctionName("log")
    public static final class Logging implements FunctionHandler<String, Void> {
        @Override
        public Void handle(String input, Context context) {
            context.log(input);
            return null;
        }
    }

    /** Cannot be made. */
    @FunctionName("unmade")
    public static final class Unmade implements FunctionHandler<JsonNode, Void> {
        public Unmade() {
            throw new IllegalStateException("no database");
        }

        @Override
        public Void handle(JsonNode input, Context context) {
            return null;
        }
    }
}
