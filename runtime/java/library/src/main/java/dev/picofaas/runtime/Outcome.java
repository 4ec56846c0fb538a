// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** How an invocation ended. */
enum Outcome {
    /** An output was answered. */
    SUCCESS("success"),
    /** The request never reached the handler. */
    REJECTED("rejected"),
    /** The handler failed, or its output could not be used. */
    ERROR("error"),
    /** The deadline passed. */
    TIMEOUT("timeout"),
    /** The caller closed the connection. */
    CANCELLED("cancelled");

    final String label;

    Outcome(String label) {
        this.label = label;
    }
}
