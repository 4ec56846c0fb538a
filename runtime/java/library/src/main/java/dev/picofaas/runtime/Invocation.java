// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.util.concurrent.EventExecutor;
import io.netty.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * One invocation from its head to its answer, in whichever protocol it came: checked, run, stopped at its deadline,
 * counted, and logged where it fails. It belongs to the event loop.
 */
final class Invocation {
    /** The one who asked. It is answered once, and not at all where it left before. */
    interface Caller {
        void answer(int status, Bytes body);
    }

    final Body body;
    private final Server server;
    private final Conversation conversation;
    private final EventExecutor loop;
    private final Caller caller;
    private final Ids ids;
    private final long beganNs = System.nanoTime();
    /** Of a head that is as it should be, or null. */
    private Call call;
    /** Found in the head, and answered when the body has been read. */
    private Failure refused;
    private Attempt attempt;
    private Future<?> deadlineTimer;
    private boolean isOver;

    Invocation(Server server, Conversation conversation, EventExecutor loop, Headers headers, Caller caller) {
        this.server = server;
        this.conversation = conversation;
        this.loop = loop;
        this.caller = caller;
        body = new Body(server.bodyBytesMax);
        ids = Ids.of(headers);
        server.metrics.begin();
        try {
            server.standby.check();
            call = Call.read(headers, beganNs);
            if (call.isOverAt(beganNs)) {
                refused = Failure.deadlinePassed(call);
            } else if (call.deadlineNs() != null) {
                deadlineTimer = loop.schedule(this::deadline, call.deadlineNs() - System.nanoTime(),
                    TimeUnit.NANOSECONDS);
            }
        } catch (Failure failure) {
            refused = failure;
        }
        if (refused != null) {
            body.drop();
        }
    }

    /** Found in the head; it is not run, whatever its body is. Null where nothing was. */
    Failure refused() {
        return refused;
    }

    /** The body has been read to its end. */
    void run() {
        body.stop();
        if (isOver) {
            return;
        }
        if (refused != null) {
            refuse(refused);
            return;
        }
        Bytes whole = body.take();
        attempt = new Attempt(call.ids(), server.standby, beginning -> server.program.run(call, whole, beginning),
            result -> loop.execute(() -> ended(result)));
        server.workers.run(attempt, () -> loop.execute(server.workers::ended));
    }

    private void deadline() {
        // Where it has just ended, its answer is already on its way here.
        if (!isOver && (attempt == null || attempt.stop())) {
            refuse(Failure.deadlinePassed(call));
        }
    }

    private void ended(Attempt.Result result) {
        if (isOver) {
            return;
        }
        if (result.failure() != null) {
            refuse(result.failure());
        } else {
            end(Outcome.SUCCESS);
            caller.answer(200, result.output());
        }
    }

    /** Answers with a failure and says so in the log; nothing happens where it is over. */
    void refuse(Failure failure) {
        if (!isOver) {
            Log.failure(ids, failure);
            end(failure.outcome);
            caller.answer(failure.status, failure.body());
        }
    }

    /** Nobody reads the answer: the handler is stopped. */
    void leave() {
        if (!isOver) {
            end(Outcome.CANCELLED);
            if (attempt != null) {
                attempt.stop();
            }
        }
    }

    private void end(Outcome outcome) {
        isOver = true;
        body.stop();
        if (deadlineTimer != null) {
            deadlineTimer.cancel(false);
        }
        server.metrics.end(outcome, System.nanoTime() - beganNs);
        if (attempt != null && attempt.hasBegun()) {
            server.handled(conversation);
        }
    }
}
