// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import dev.picofaas.runtime.frames.RequestHead;
import java.util.List;

/** The HEAD of a request as the headers that it stands for, so that all rules for them hold for it, too. */
record FrameHeaders(RequestHead head) implements Headers {
    private static final char[] DIGITS = "0123456789abcdef".toCharArray();

    @Override
    public String get(String name) {
        return switch (name) {
            case "x-execution-id" -> head.executionId();
            case "x-attempt" -> Integer.toString(head.attempt());
            case "x-deadline-ms" -> Long.toString(head.deadlineMs());
            case "x-trace-id" -> head.traceName() == null ? head.traceId() : head.traceName();
            case "traceparent" -> head.traceParent() == null ? parent() : head.traceParent();
            case "tracestate" -> head.traceState();
            case "idempotency-key" -> head.idempotencyKey();
            default -> null;
        };
    }

    @Override
    public List<String> getAll(String name) {
        String value = get(name);
        return value == null ? List.of() : List.of(value);
    }

    private String parent() {
        int flags = head.traceFlags();
        return "00-" + head.traceId() + "-" + head.parentSpanId() + "-" + DIGITS[flags >> 4] + DIGITS[flags & 15];
    }
}
