// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** The ids that log lines carry; {@code -} where there is none. */
record Ids(String execution, String trace) {
    static Ids of(Headers headers) {
        return new Ids(orDash(headers.get("x-execution-id")), orDash(traceId(headers)));
    }

    static Ids ofExecution(String id) {
        return new Ids(id, "-");
    }

    Ids withTraceOf(Headers headers) {
        return new Ids(execution, orDash(traceId(headers)));
    }

    /** The trace id that was given, else that of the trace context; null where there is neither. */
    static String traceId(Headers headers) {
        String given = headers.get("x-trace-id");
        if (given != null && !given.isEmpty()) {
            return given;
        }
        TraceContext context = TraceContext.read(headers);
        return context == null ? null : context.traceId();
    }

    private static String orDash(String value) {
        return value == null || value.isEmpty() ? "-" : value;
    }
}
