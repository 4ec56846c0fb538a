// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import com.fasterxml.jackson.annotation.JsonAnyGetter;
import com.fasterxml.jackson.annotation.JsonAnySetter;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import dev.picofaas.runtime.Context;
import dev.picofaas.runtime.FunctionName;
import dev.picofaas.runtime.HandlerException;
import dev.picofaas.runtime.RawJson;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.LockSupport;

/** A function that goes wrong in the way its HANDLER says, for tests from outside. */
public final class Faulty {
    /** How often it is looked whether a gate is open. */
    private static final int GATE_LOOK_MS = 20;

    private Faulty() {}

    /** Returns the input. */
    @FunctionName("echo")
    public static final class Echo extends Loading<RawJson, RawJson> {
        @Override
        public RawJson handle(RawJson input, Context context) {
            return input;
        }
    }

    /** All that the context says; what is not there is null. */
    public record Circumstances(RawJson input, String executionId, String traceId, String traceparent,
        String tracestate, int attempt, Long leftMs, String idempotencyKey, Map<String, String> metadata) {}

    public record Identity(RawJson input, long pid, int attempt, String executionId) {}

    /** Returns the input and which process, attempt and execution this is. */
    @FunctionName("identity")
    public static final class Identifying extends Loading<RawJson, Identity> {
        @Override
        public Identity handle(RawJson input, Context context) {
            return new Identity(input, ProcessHandle.current().pid(), context.attempt(), context.executionId());
        }
    }

    /** Returns the input and all that the context says. */
    @FunctionName("context")
    public static final class Circumstantial extends Loading<RawJson, Circumstances> {
        @Override
        public Circumstances handle(RawJson input, Context context) {
            return new Circumstances(input, context.executionId(), context.traceId().orElse(null),
                context.traceparent().orElse(null), context.tracestate().orElse(null), context.attempt(),
                context.timeLeft().map(Duration::toMillis).orElse(null), context.idempotencyKey().orElse(null),
                context.metadata());
        }
    }

    /** How long, and what else is to come back. */
    public record Sleep(long ms, @JsonAnySetter @JsonAnyGetter Map<String, JsonNode> rest) {}

    /** Waits input.ms milliseconds, then returns the input. */
    @FunctionName("sleep")
    public static final class Sleeping extends Loading<Sleep, Sleep> {
        @Override
        public Sleep handle(Sleep input, Context context) throws InterruptedException {
            Thread.sleep(input.ms());
            return input;
        }
    }

    /** A file that is waited for, and a number that tells apart who waits. */
    public record Gate(String file, int n) {}

    /** Returns the input once input.file is there. */
    @FunctionName("gate")
    public static final class Gated extends Loading<Gate, Gate> {
        @Override
        public Gate handle(Gate input, Context context) throws InterruptedException {
            while (!Files.exists(Path.of(input.file()))) {
                Thread.sleep(GATE_LOOK_MS);
            }
            return input;
        }
    }

    /** Never answers, and says when it was interrupted. */
    @FunctionName("never")
    public static final class Never extends Loading<JsonNode, Void> {
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
    public static final class Stubborn extends Loading<JsonNode, Void> {
        @Override
        public Void handle(JsonNode input, Context context) {
            context.log("waiting");
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
    public static final class Panic extends Loading<JsonNode, Void> {
        @Override
        public Void handle(JsonNode input, Context context) {
            throw new IllegalStateException(input.asText("told to panic"));
        }
    }

    /** Recurses without end. */
    @FunctionName("overflow")
    public static final class Overflow extends Loading<JsonNode, Integer> {
        @Override
        public Integer handle(JsonNode input, Context context) {
            return 1 + handle(input, context);
        }
    }

    public record Status(int status, @JsonProperty(required = true) String code, String message,
        Boolean retryable) {}

    /** Fails with input.status, input.code, input.message; finally where input.retryable is false. */
    @FunctionName("status")
    public static final class Failing extends Loading<Status, Void> {
        @Override
        public Void handle(Status input, Context context) throws HandlerException {
            HandlerException failure = new HandlerException(input.status(), input.code(), input.message());
            throw Boolean.FALSE.equals(input.retryable()) ? failure.notRetryable() : failure;
        }
    }

    /** Ends the process with code 3 in the middle of the request. */
    @FunctionName("exit")
    public static final class Exit extends Loading<JsonNode, Void> {
        @Override
        public Void handle(JsonNode input, Context context) {
            System.exit(3);
            return null;
        }
    }

    /** Returns a list that holds itself. */
    @FunctionName("endless")
    public static final class Endless extends Loading<JsonNode, List<Object>> {
        @Override
        public List<Object> handle(JsonNode input, Context context) {
            List<Object> endless = new ArrayList<>();
            endless.add(endless);
            return endless;
        }
    }

    /** An object that cannot be read, so that nothing can be written. */
    public static final class Sealed {
        public String getText() {
            throw new IllegalStateException("sealed");
        }
    }

    /** Returns what JSON cannot say. */
    @FunctionName("unserialisable")
    public static final class Unserialisable extends Loading<JsonNode, Sealed> {
        @Override
        public Sealed handle(JsonNode input, Context context) {
            return new Sealed();
        }
    }

    public record Big(int bytes) {}

    /** Returns input.bytes times x. */
    @FunctionName("big")
    public static final class Bigness extends Loading<Big, String> {
        @Override
        public String handle(Big input, Context context) {
            return "x".repeat(input.bytes());
        }
    }

    public record Compute(long ms) {}

    /** Keeps another thread busy for input.ms milliseconds. */
    @FunctionName("compute")
    public static final class Computing extends Loading<Compute, Void> {
        @Override
        public Void handle(Compute input, Context context) throws InterruptedException {
            Thread other = new Thread(() -> {
                long end = System.nanoTime() + Duration.ofMillis(input.ms()).toNanos();
                while (System.nanoTime() < end) {
                    LockSupport.parkNanos(end - System.nanoTime());
                }
            });
            other.setDaemon(true);
            other.start();
            other.join();
            return null;
        }
    }

    /** Logs the input. */
    @FunctionName("log")
    public static final class Logging extends Loading<String, Void> {
        @Override
        public Void handle(String input, Context context) {
            context.log(input);
            return null;
        }
    }

    /** Cannot be made. */
    @FunctionName("unmade")
    public static final class Unmade extends Loading<JsonNode, Void> {
        public Unmade() {
            throw new IllegalStateException("no database");
        }

        @Override
        public Void handle(JsonNode input, Context context) {
            return null;
        }
    }
}
