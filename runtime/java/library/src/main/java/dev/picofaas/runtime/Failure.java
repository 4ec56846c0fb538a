// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.nio.charset.StandardCharsets;

/** Why an invocation has no output. Its message is what the client reads. */
final class Failure extends Exception {
    private static final long serialVersionUID = 1L;

    final int status;
    final String code;
    final transient Outcome outcome;
    /** Another attempt would end in the same way, whatever the status says. */
    final boolean isFinal;

    private Failure(int status, String code, Outcome outcome, boolean isFinal, String message, Throwable origin) {
        // It is a value more than an exception: its own stack says nothing.
        super(message, origin, false, false);
        this.status = status;
        this.code = code;
        this.outcome = outcome;
        this.isFinal = isFinal;
    }

    private static Failure error(int status, String code, boolean isFinal, String message, Throwable origin) {
        return new Failure(status, code, Outcome.ERROR, isFinal, message, origin);
    }

    private static Failure rejected(int status, String code, String message) {
        return new Failure(status, code, Outcome.REJECTED, false, message, null);
    }

    static Failure missingExecutionId() {
        return rejected(400, "MISSING_EXECUTION_ID",
            "the header X-Execution-Id is missing: a gateway gives one, a direct call may make one up");
    }

    static Failure badHeader(String name, String rule) {
        return rejected(400, "BAD_HEADER", "the header " + name + " must be " + rule);
    }

    static Failure bodyTooLarge(int max) {
        return rejected(413, "BODY_TOO_LARGE", "the body is longer than " + max + " bytes (MAX_BODY)");
    }

    static Failure bodyLate() {
        return rejected(408, "BODY_TIMEOUT",
            "the body did not arrive in " + Limits.BODY_READ_MS_MAX / 1000 + " s");
    }

    static Failure alreadyUsed() {
        return rejected(503, "ALREADY_USED", "this instance is a standby (PICOFAAS_STANDBY), and its one invocation "
            + "has begun: have another started");
    }

    static Failure notAWebFunction() {
        return notTaken("NOT_A_WEB_FUNCTION", "the handler takes JSON and no web requests: remove `web` from the "
            + "function, or give it a WebHandler");
    }

    static Failure notAJsonFunction() {
        return notTaken("NOT_A_JSON_FUNCTION", "the handler answers web requests and takes no JSON: call the function by "
            + "its address for the web, or give it a FunctionHandler");
    }

    /** Of a request that is not of the handler's kind. */
    private static Failure notTaken(String code, String message) {
        return new Failure(501, code, Outcome.REJECTED, true, message, null);
    }

    static Failure noUpgrade() {
        return new Failure(501, "NO_UPGRADE", Outcome.REJECTED, true,
            "this runtime keeps to HTTP: it has no WebSockets", null);
    }

    static Failure badInput(String message) {
        return rejected(400, "BAD_INPUT", message);
    }

    /** Of an input whose type Jackson cannot make: no client could send another. */
    static Failure badInputType(String message, Throwable origin) {
        return error(500, "HANDLER_ERROR", true, "the type of the input cannot be made from JSON: " + message, origin);
    }

    static Failure notHttp(String message) {
        return rejected(400, "BAD_REQUEST", "the request could not be read: " + message);
    }

    /** Of what a handler threw: a choice of its own, or anything else with its stack for the log. */
    static Failure thrown(Throwable thrown) {
        HandlerException chosen = chosen(thrown);
        if (chosen != null) {
            String code = chosen.code() == null ? "HANDLER_ERROR" : chosen.code();
            return error(chosen.status(), code, !chosen.isRetryable(), text(chosen), chosen.getCause());
        }
        return error(500, "HANDLER_ERROR", false, text(thrown), thrown);
    }

    /** The handler's own, or null. Lambdas, futures and constructors can throw it within another exception only. */
    static HandlerException chosen(Throwable thrown) {
        Throwable cause = thrown;
        // Causes may go round in a circle.
        for (int rest = Limits.CAUSES_MAX; cause != null && rest > 0; rest--) {
            if (cause instanceof HandlerException chosen) {
                return chosen;
            }
            cause = cause.getCause();
        }
        return null;
    }

    static Failure deadlinePassed(Call call) {
        return new Failure(504, "HANDLER_TIMEOUT", Outcome.TIMEOUT, false,
            "the handler was stopped at its deadline, after " + call.allowedMs() + " ms (X-Deadline-Ms)", null);
    }

    static Failure outputTooLarge(int max) {
        return error(500, "OUTPUT_TOO_LARGE", true, "the output is longer than " + max + " bytes (MAX_OUTPUT)", null);
    }

    static Failure badOutput(Throwable reason) {
        return error(500, "BAD_OUTPUT", true, "the output cannot be written as JSON: " + text(reason), reason);
    }

    /** The body of the answer that says so. */
    Bytes body() {
        return Bytes.of(("{\"error\":" + Text.errorDetail(this) + "}").getBytes(StandardCharsets.UTF_8));
    }

    /** A message, or where there is none, the name of what was thrown. */
    private static String text(Throwable thrown) {
        String message = thrown instanceof com.fasterxml.jackson.core.JsonProcessingException json
            ? json.getOriginalMessage() : thrown.getMessage();
        return message == null || message.isEmpty() ? thrown.getClass().getSimpleName() : message;
    }
}
