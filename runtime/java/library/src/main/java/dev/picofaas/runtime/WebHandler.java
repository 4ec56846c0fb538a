// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/**
 * A function that speaks HTTP: from a request to an answer, both as they are on the web.
 *
 * <p>The runtime finds it with {@link java.util.ServiceLoader}: name the class in
 * {@code META-INF/services/dev.picofaas.runtime.WebHandler}. One instance is made at start, by the constructor without
 * parameters, and takes all requests, several at a time: what it keeps must be safe for many threads. Its function has
 * {@code web}, and takes no JSON: what comes by {@code :invoke} or as a JOB is a 501 {@code NOT_A_JSON_FUNCTION}.
 */
@FunctionalInterface
public interface WebHandler {
    /**
     * Answers one request; the answer is whole when this returns. The thread is interrupted when the caller closes the
     * connection, and when the deadline passes before the head of the answer was sent.
     *
     * @throws HandlerException for a status, code and message of the handler's choice, where the head was not sent yet
     * @throws Exception anything else is a 500 {@code HANDLER_ERROR} with its message; the stack goes to the log only.
     *     Where the head was sent, the connection is closed, so that nobody takes the beginning of a body for all of it
     */
    void handle(WebRequest request, WebResponse response, Context context) throws Exception;
}
