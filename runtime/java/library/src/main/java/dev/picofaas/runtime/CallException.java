// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.nio.charset.StandardCharsets;

/** Why a call to the control plane came to nothing. */
final class CallException extends Exception {
    private static final long serialVersionUID = 1L;

    /** Where it went wrong. */
    enum Stage { CONNECT, LOST, LATE, ANSWERED }

    final Stage stage;
    private final int status;

    private CallException(Stage stage, int status, String message) {
        super(message, null, false, false);
        this.stage = stage;
        this.status = status;
    }

    static CallException connect(Exception reason) {
        return new CallException(Stage.CONNECT, 0,
            "cannot connect to the control plane (PICOFAAS_RUNTIME_URL): " + reason);
    }

    static CallException lost(Exception reason) {
        return new CallException(Stage.LOST, 0,
            "the connection to the control plane was lost: " + reason.getMessage());
    }

    static CallException late() {
        return new CallException(Stage.LATE, 0, "the control plane did not answer in time");
    }

    private static CallException answered(int status, String said) {
        return new CallException(Stage.ANSWERED, status,
            "the control plane answered " + status + ": " + Text.quoted(Text.shortened(said)));
    }

    /** The meaning of an answer that is not the one that was hoped for. */
    static CallException answered(Answer answer) {
        return answered(answer.status(),
            answer.body() == null ? "" : new String(answer.body(), StandardCharsets.UTF_8));
    }

    /** Whether the same call may succeed later. */
    boolean mayPass() {
        return stage != Stage.ANSWERED || status >= 500 || status == 408 || status == 429;
    }

    /** Whether the execution needs this attempt no more: another was started, or it has ended. */
    boolean isSettled() {
        return status == 409;
    }
}
