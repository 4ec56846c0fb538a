// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** The ids that log lines carry; {@code -} where there is none. */
record Ids(String execution, String trace) {
    static Ids of(Headers headers) {
        return new Ids(orDash(headers.get("x-execution-id")), orDash(headers.get("x-trace-id")));
    }

    static Ids ofExecution(String id) {
        return new Ids(id, "-");
    }

    Ids withTraceOf(Headers headers) {
        return new Ids(execution, orDash(headers.get("x-trace-id")));
    }

    private static String orDash(String value) {
        return value == null || value.isEmpty() ? "-" : value;
    }
}
