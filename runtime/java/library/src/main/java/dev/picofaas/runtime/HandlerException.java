// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/**
 * A handler's failure: a status, a stable code, and a message for the client. A status of 5xx lets the control plane
 * try again unless the failure is {@link #notRetryable()}, one of 4xx is the function's answer and is passed on.
 */
public class HandlerException extends Exception {
    private static final long serialVersionUID = 1L;

    private final int status;
    private final String code;
    private boolean retryable = true;

    /** Fails with {@link IllegalArgumentException} where {@code status} is not in 400 … 599. */
    public HandlerException(int status, String code, String message) {
        this(status, code, message, null);
    }

    /** With what led to it, which goes to the log only. */
    public HandlerException(int status, String code, String message, Throwable cause) {
        super(message, cause);
        if (status < 400 || status > 599) {
            throw new IllegalArgumentException("the status of a HandlerException is 400 … 599, not " + status);
        }
        this.status = status;
        this.code = code;
    }

    /**
     * Says that another attempt would fail in the same way: there is none, whatever the status.
     * {@code throw new HandlerException(500, "NO_CARD", "the customer has none").notRetryable();}
     */
    public HandlerException notRetryable() {
        retryable = false;
        return this;
    }

    /** False after {@link #notRetryable()}. */
    public boolean isRetryable() {
        return retryable;
    }

    public int status() {
        return status;
    }

    public String code() {
        return code;
    }
}
