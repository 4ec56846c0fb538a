// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/**
 * A function, from a typed input to a typed output.
 *
 * <p>The runtime finds it with {@link java.util.ServiceLoader}: name the class in
 * {@code META-INF/services/dev.picofaas.runtime.FunctionHandler}. One instance is made at start, by the constructor
 * without parameters, and takes all invocations, several at a time: what it keeps must be safe for many threads.
 *
 * @param <I> read from the request's {@code input} by Jackson, with the modules of it that are on the class path;
 *     {@link RawJson} takes it as it came
 * @param <O> written as the answer's body by Jackson; {@link Void} with {@code null} gives {@code null}; a
 *     {@link java.util.concurrent.Future} or {@link java.util.concurrent.CompletionStage} is waited for
 */
@FunctionalInterface
public interface FunctionHandler<I, O> {
    /**
     * Handles one invocation. The thread is interrupted when the deadline passes or when the caller closes the
     * connection; nobody reads the output then.
     *
     * @throws HandlerException for a status, code and message of the handler's choice
     * @throws Exception anything else is a 500 {@code HANDLER_ERROR} with its message; the stack goes to the log only
     */
    O handle(I input, Context context) throws Exception;
}
