// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Executor;

/** An invocation besides its input, as its handler sees it. */
public final class Context {
    private final Call call;
    private final Map<String, String> metadata;

    Context(Call call, Map<String, String> metadata) {
        this.call = call;
        this.metadata = metadata;
    }

    /** The execution's id; the same in every attempt of it. */
    public String executionId() {
        return call.executionId();
    }

    /** The trace id: the one that the caller or the gateway gave, or else that of {@link #traceparent}. */
    public Optional<String> traceId() {
        return Optional.ofNullable(call.traceId());
    }

    /** The W3C trace context, to be passed on in calls the handler makes. One that is not valid is none. */
    public Optional<String> traceparent() {
        return Optional.ofNullable(call.trace()).map(TraceContext::parent);
    }

    /** The trace's state of other tracing systems, to be passed on with {@link #traceparent}. */
    public Optional<String> tracestate() {
        return Optional.ofNullable(call.trace()).map(TraceContext::state);
    }

    /** Which attempt of the execution this is, from 1. */
    public int attempt() {
        return call.attempt();
    }

    /** The client's idempotency key. */
    public Optional<String> idempotencyKey() {
        return Optional.ofNullable(call.idempotencyKey());
    }

    /** How long until the handler's thread is interrupted, zero once it was; empty where there is no deadline. */
    public Optional<Duration> timeLeft() {
        return Optional.ofNullable(call.deadlineNs())
            .map(at -> Duration.ofNanos(Math.max(0, at - System.nanoTime())));
    }

    /** The client's {@code metadata}, which cannot be changed; empty if it sent none. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /**
     * Writes to stderr what belongs to this execution: {@code info executionId=0018… traceId=4bf9… 3 words}. Each line
     * of the message carries the ids, so that the control plane can tell it from the lines of other executions in the
     * same process. A line over 8 KiB is continued on the next one.
     */
    public void log(Object message) {
        Log.about(call.ids(), "info", String.valueOf(message));
    }

    /**
     * An executor whose tasks print lines of this execution on whichever thread they run:
     * {@code CompletableFuture.runAsync(task, context.carry(pool))}. Threads of a pool work for many executions, and
     * what they print otherwise has no ids.
     */
    public Executor carry(Executor executor) {
        return Owner.carrying(executor, call.ids());
    }
}
