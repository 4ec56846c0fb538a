// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * One web request from its head to the end of its answer: checked, run while its body comes, stopped at the deadline of
 * its head, counted, and logged where it fails. It belongs to the event loop.
 */
final class WebInvocation implements WebResponse.Connection {
    /** The connection that the request came over. */
    interface Caller {
        /** The handler waits for the body. */
        void asked();

        /** More of the body may come. */
        void hasRoom();

        void begin(int status, HttpHeaders headers);

        ChannelFuture write(byte[] piece);

        /** The answer is over: its last piece was written, or, where nothing was, all of it is given here. */
        void end(int status, HttpHeaders headers, byte[] whole);

        /** The answer is over, and its head was sent. */
        void end();

        /** An answer of the runtime, instead of the handler's. */
        void refuse(Failure failure);

        /** The answer broke off. */
        void breakOff();
    }

    private static final Bytes NO_OUTPUT = Bytes.of(new byte[0]);

    final WebBody body;
    private final Server server;
    private final Conversation conversation;
    private final ChannelHandlerContext channel;
    private final Caller caller;
    private final Ids ids;
    private final long beganNs = System.nanoTime();
    private final WebResponse response;
    private Attempt attempt;
    private Call call;
    private Future<?> deadlineTimer;
    private boolean isOver;

    WebInvocation(Server server, Conversation conversation, ChannelHandlerContext channel, HttpRequest head,
            Caller caller) {
        this.server = server;
        this.conversation = conversation;
        this.channel = channel;
        this.caller = caller;
        body = new WebBody(() -> onLoop(caller::asked), () -> onLoop(caller::hasRoom));
        response = new WebResponse(this, head.method().equals(HttpMethod.HEAD));
        ids = Ids.of(Headers.of(head.headers()));
        server.metrics.begin();
    }

    /** Runs the handler, whose body may still come. What it refuses, it refuses when all that was read is gone through. */
    void start(HttpRequest head, String target) {
        try {
            server.standby.check();
            call = Call.read(Headers.of(head.headers()), beganNs);
            if (call.isOverAt(beganNs)) {
                throw Failure.deadlinePassed(call);
            }
            if (server.program.web() == null) {
                throw Failure.notAWebFunction();
            }
            if (head.headers().containsValue("upgrade", "websocket", true)) {
                throw Failure.noUpgrade();
            }
        } catch (Failure failure) {
            body.end();
            channel.executor().execute(() -> refuse(failure));
            return;
        }
        if (call.deadlineNs() != null) {
            deadlineTimer = channel.executor().schedule(this::deadline, call.deadlineNs() - System.nanoTime(),
                TimeUnit.NANOSECONDS);
        }
        WebRequest request = new WebRequest(head.method().name(), target, head.headers(), body);
        attempt = new Attempt(call.ids(), server.standby, beginning -> {
            server.program.answer(request, response, call, beginning);
            return NO_OUTPUT;
        }, result -> onLoop(() -> ended(result)));
        server.workers.run(attempt, () -> channel.executor().execute(server.workers::ended));
    }

    /** The head of the answer is on its way. */
    boolean isSent() {
        return response.isSent();
    }

    private void onLoop(Runnable step) {
        channel.executor().execute(() -> {
            if (!isOver) {
                step.run();
            }
        });
    }

    private void deadline() {
        // Where it has just ended, its answer is already on its way here.
        if (!isOver && response.take() && attempt.stop()) {
            refuse(Failure.deadlinePassed(call));
        }
    }

    @Override
    public void begin(int status, HttpHeaders headers) {
        onLoop(() -> {
            cancelDeadline();
            caller.begin(status, headers);
        });
    }

    @Override
    public ChannelFuture write(byte[] piece) {
        return caller.write(piece);
    }

    private void ended(Attempt.Result result) {
        if (result.failure() != null) {
            refuse(result.failure());
            return;
        }
        over(Outcome.SUCCESS);
        if (response.isSent()) {
            caller.end();
        } else {
            caller.end(response.status(), response.headers(), response.whole());
        }
    }

    /** Answers with a failure and says so in the log; the caller that has the head of an answer is cut off. */
    void refuse(Failure failure) {
        if (isOver) {
            return;
        }
        Log.failure(ids, failure);
        boolean isAnswered = response.take();
        over(failure.outcome);
        if (attempt != null) {
            attempt.stop();
        }
        if (isAnswered) {
            caller.refuse(failure);
        } else {
            caller.breakOff();
        }
    }

    /** Nobody reads the answer: the handler is stopped. */
    void leave() {
        if (!isOver) {
            response.take();
            over(Outcome.CANCELLED);
            if (attempt != null) {
                attempt.stop();
            }
        }
    }

    private void over(Outcome outcome) {
        isOver = true;
        body.end();
        cancelDeadline();
        server.metrics.end(outcome, System.nanoTime() - beganNs);
        if (attempt != null && attempt.hasBegun()) {
            server.handled(conversation);
        }
    }

    private void cancelDeadline() {
        if (deadlineTimer != null) {
            deadlineTimer.cancel(false);
        }
    }
}
