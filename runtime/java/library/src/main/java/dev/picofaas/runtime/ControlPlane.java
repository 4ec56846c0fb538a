// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.IOException;
import java.net.SocketTimeoutException;

/** The two calls of a JOB to the control plane, over one connection that is kept open. */
final class ControlPlane {
    private static final byte[] NOTHING = new byte[0];

    private final Assignment assignment;
    /** Open, and at rest unless {@link #asked}. */
    private Connection connection;
    /** The first request was sent and its answer not read. */
    private boolean asked;

    private ControlPlane(Assignment assignment) {
        this.assignment = assignment;
    }

    /**
     * Sends the request for the input before anything else is done, so that it is answered while the process gets
     * ready. What stands in its way is found by {@link #fetch}.
     */
    static ControlPlane ask(Assignment assignment) {
        ControlPlane controlPlane = new ControlPlane(assignment);
        try {
            controlPlane.connection = Connection.open(assignment.access());
            controlPlane.connection.send(controlPlane.inputHead(), NOTHING);
            controlPlane.asked = true;
        } catch (IOException later) {
            controlPlane.drop();
        }
        return controlPlane;
    }

    /** Gets what POST /invoke would have brought. */
    Answer fetch(Ids ids, int bodyBytesMax) throws CallException, InterruptedException {
        return call(ids, inputHead(), NOTHING, bodyBytesMax,
            System.nanoTime() + Limits.INPUT_WAIT_MS_MAX * 1_000_000);
    }

    /** Says how the invocation ended, for some time if need be. */
    void complete(Ids ids, Completion completion, long initMs) throws CallException, InterruptedException {
        long nowNs = System.nanoTime();
        long fromNs = completion.deadlineNs() == null ? nowNs
            : nowNs + Math.max(0, completion.deadlineNs() - nowNs);
        String head = head("POST", ":complete", "content-type: application/json\r\ncontent-length: "
            + completion.body().length + "\r\nx-init-duration-ms: " + initMs + "\r\n");
        call(ids, head, completion.body(), Limits.REFUSAL_BYTES_MAX, fromNs + Limits.COMPLETE_GRACE_MS * 1_000_000);
    }

    private Answer call(Ids ids, String head, byte[] body, int answerBytesMax, long untilNs)
            throws CallException, InterruptedException {
        long pauseMs = Limits.RETRY_PAUSE_MS_MIN;
        boolean told = false;
        while (true) {
            boolean usedAgain = connection != null && !asked;
            CallException error;
            try {
                long limitMs = Math.min((untilNs - System.nanoTime()) / 1_000_000, Limits.EXCHANGE_MS_MAX);
                return exchange(head, body, answerBytesMax, System.nanoTime() + Math.max(1, limitMs) * 1_000_000);
            } catch (CallException failed) {
                error = failed;
            }
            // It may have been closed while the handler ran, which says nothing.
            if (usedAgain && error.stage == CallException.Stage.LOST) {
                continue;
            }
            if (!error.mayPass() || System.nanoTime() + pauseMs * 1_000_000 - untilNs >= 0) {
                throw error;
            }
            // Only once, as there may be a day of tries.
            if (!told) {
                Log.about(ids, "warning", error.getMessage() + "; trying again");
                told = true;
            }
            Thread.sleep(pauseMs);
            pauseMs = Math.min(Limits.RETRY_PAUSE_MS_MAX, pauseMs * 2);
        }
    }

    private Answer exchange(String head, byte[] body, int answerBytesMax, long limitNs) throws CallException {
        if (connection == null) {
            try {
                connection = Connection.open(assignment.access());
            } catch (IOException error) {
                throw CallException.connect(error);
            }
        }
        Answer answer;
        try {
            if (!asked) {
                connection.send(head, body);
            }
            asked = false;
            answer = connection.receive(answerBytesMax, limitNs);
        } catch (SocketTimeoutException late) {
            drop();
            throw CallException.late();
        } catch (IOException error) {
            drop();
            throw CallException.lost(error);
        }
        if (!answer.reusable()) {
            drop();
        }
        if (answer.status() >= 200 && answer.status() < 300) {
            return answer;
        }
        throw CallException.answered(answer);
    }

    private void drop() {
        if (connection != null) {
            connection.close();
        }
        connection = null;
        asked = false;
    }

    private String inputHead() {
        return head("GET", "/input", "");
    }

    /** The head of a request about the execution; each of {@code more} ends in a line break. */
    private String head(String method, String what, String more) {
        return assignment.access().head(method, "/v1/internal/executions/" + assignment.executionId() + what, more);
    }
}
