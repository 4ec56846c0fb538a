// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/**
 * The invocation as a request's head tells it, checked. Times are of {@link System#nanoTime}.
 *
 * @param allowedMs how long it may take, or null; {@code deadlineNs} is when that is over
 */
record Call(String executionId, String traceId, TraceContext trace, String idempotencyKey, int attempt,
        Long allowedMs, Long deadlineNs) {

    static Call read(Headers headers, long arrivedNs) throws Failure {
        String id = headers.get("x-execution-id");
        if (id == null || id.isEmpty()) {
            throw Failure.missingExecutionId();
        }
        if (!hasExecutionId(headers)) {
            throw Failure.badHeader("X-Execution-Id", "at most 256 bytes of visible ASCII");
        }
        String attemptText = headers.get("x-attempt");
        long attempt = attemptText == null ? 1 : number(attemptText);
        if (attempt < 1 || attempt > Integer.MAX_VALUE) {
            throw Failure.badHeader("X-Attempt", "a whole number from 1");
        }
        String deadline = headers.get("x-deadline-ms");
        Long allowedMs = null;
        Long deadlineNs = null;
        if (deadline != null) {
            long leftMs = number(deadline);
            if (leftMs < 0) {
                throw Failure.badHeader("X-Deadline-Ms", "a whole number of milliseconds that are left");
            }
            allowedMs = Math.min(leftMs, Limits.DEADLINE_MS_MAX);
            deadlineNs = arrivedNs + allowedMs * 1_000_000;
        }
        return new Call(id, Ids.traceId(headers), TraceContext.read(headers), headers.get("idempotency-key"),
            (int) attempt, allowedMs, deadlineNs);
    }

    /** Whether a request says its execution, as it should be said. */
    static boolean hasExecutionId(Headers headers) {
        String id = headers.get("x-execution-id");
        return id != null && !id.isEmpty() && id.length() <= Limits.EXECUTION_ID_BYTES_MAX
            && id.chars().allMatch(c -> c >= 0x20 && c < 0x7f);
    }

    /** Whether there was no time left when it came. */
    boolean isOverAt(long ns) {
        return deadlineNs != null && deadlineNs - ns <= 0;
    }

    Ids ids() {
        return new Ids(executionId, traceId == null ? "-" : traceId);
    }

    /** Digits as a number, or -1. */
    private static long number(String text) {
        if (text.isEmpty() || text.length() > 20 || !text.chars().allMatch(c -> c >= '0' && c <= '9')) {
            return -1;
        }
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException tooLarge) {
            return Long.MAX_VALUE;
        }
    }
}
