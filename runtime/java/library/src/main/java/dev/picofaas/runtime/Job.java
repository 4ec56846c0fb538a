// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/** One invocation and the end: fetch the input, run the handler, post how it went. */
final class Job {
    private static final int SUCCESS = 0;
    private static final int FAILURE = 1;
    /** The process was told to end before its handler had: what a shell says of SIGTERM. */
    private static final int STOPPED = 143;

    private final Settings settings;
    private final ProcessAge age;
    /** Taken by the first of two: the handler's end, or a signal. */
    private final AtomicBoolean decided = new AtomicBoolean();
    private final AtomicReference<Thread> handler = new AtomicReference<>();
    private volatile Ids ids;

    Job(Settings settings, ProcessAge age) {
        this.settings = settings;
        this.age = age;
        this.ids = Ids.ofExecution(settings.assignment().executionId());
    }

    /** The exit code. */
    int run() throws StartException, InterruptedException {
        // The input is on its way while the handler is loaded.
        ControlPlane controlPlane = ControlPlane.ask(settings.assignment());
        Stop.on(this::stopped);
        Program program = Main.program(settings);
        long initMs = age.ms();
        try {
            Answer input = controlPlane.fetch(ids, settings.bodyBytesMax());
            Completion completion = invoke(program, input);
            if (!decided.compareAndSet(false, true)) {
                // A signal came first, and its thread ends the process.
                new CountDownLatch(1).await();
            }
            controlPlane.complete(ids, completion, initMs);
            return SUCCESS;
        } catch (CallException error) {
            if (error.isSettled()) {
                Log.about(ids, "warning", "nobody waits for this attempt any more: " + error.getMessage());
                return SUCCESS;
            }
            Log.about(ids, "error", error.getMessage());
            return FAILURE;
        }
    }

    /** Does what POST /invoke does, with a body that is there. */
    private Completion invoke(Program program, Answer input) throws InterruptedException {
        ids = ids.withTraceOf(input);
        Call call = null;
        try {
            call = Call.read(input, input.arrivedNs());
            if (call.isOverAt(input.arrivedNs())) {
                throw Failure.deadlinePassed(call);
            }
            if (input.body() == null) {
                throw Failure.bodyTooLarge(settings.bodyBytesMax());
            }
            return Completion.success(output(program, call, Bytes.of(input.body())), call);
        } catch (Failure failure) {
            Log.failure(ids, failure);
            return Completion.failure(failure, call);
        }
    }

    private Bytes output(Program program, Call call, Bytes body) throws Failure, InterruptedException {
        CountDownLatch over = new CountDownLatch(1);
        AtomicReference<Attempt.Result> result = new AtomicReference<>();
        Attempt attempt = new Attempt(call.ids(), new Standby(false),
                beginning -> program.run(call, body, beginning), ended -> {
            result.set(ended);
            over.countDown();
        });
        Thread thread = new Thread(attempt, "handler");
        thread.setDaemon(true);
        handler.set(thread);
        thread.start();
        if (call.deadlineNs() == null) {
            over.await();
        } else if (!over.await(call.deadlineNs() - System.nanoTime(), TimeUnit.NANOSECONDS)) {
            if (attempt.stop()) {
                throw Failure.deadlinePassed(call);
            }
            over.await();
        }
        if (result.get().failure() != null) {
            throw result.get().failure();
        }
        return result.get().output();
    }

    /** A signal that comes when the handler has ended does not keep its result from being posted. */
    private void stopped(String signal) {
        if (!decided.compareAndSet(false, true)) {
            return;
        }
        Thread running = handler.get();
        if (running != null) {
            running.interrupt();
            try {
                // Its finally blocks may have something to put in order.
                running.join(Limits.STOP_GRACE_MS);
            } catch (InterruptedException never) {
                // This thread is the JVM's, and nobody else has it.
            }
        }
        Log.about(ids, "error", "stopped by " + signal + " before the handler had ended");
        System.exit(STOPPED);
    }
}
