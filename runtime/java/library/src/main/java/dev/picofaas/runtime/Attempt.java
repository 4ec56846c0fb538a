// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.util.function.Consumer;

/** One run of the handler, which ends by itself or is stopped, whichever comes first. */
final class Attempt implements Runnable {
    /** An output, or why there is none. */
    record Result(Bytes output, Failure failure) {}

    /** The work of the handler's thread. It tells when the handler is called. */
    interface Work {
        Bytes run(Program.Beginning beginning) throws Failure;
    }

    private final Ids ids;
    private final Standby standby;
    private final Work work;
    private final Consumer<Result> done;
    private Thread thread;
    private boolean over;
    private boolean begun;

    /** {@code done} is told once, on the handler's thread, and not at all if the attempt was stopped before. */
    Attempt(Ids ids, Standby standby, Work work, Consumer<Result> done) {
        this.ids = ids;
        this.standby = standby;
        this.work = work;
        this.done = done;
    }

    @Override
    public void run() {
        synchronized (this) {
            if (over) {
                return;
            }
            thread = Thread.currentThread();
        }
        Owner owner = Owner.begin(ids);
        Result result;
        try {
            result = new Result(work.run(this::begin), null);
        } catch (Failure failure) {
            result = new Result(null, failure);
        } catch (Throwable thrown) {
            // Out of memory while an input was read or an output written.
            result = new Result(null, Failure.thrown(thrown));
        }
        owner.end();
        boolean stopped;
        synchronized (this) {
            // From here on nobody interrupts this thread, which may go on to another attempt.
            thread = null;
            stopped = over;
            over = true;
        }
        Thread.interrupted();
        if (!stopped) {
            done.accept(result);
        }
    }

    /** The handler is called next, and not at all where it was stopped before. */
    private synchronized void begin() throws Failure {
        if (over) {
            // Nobody is told.
            throw Failure.thrown(new InterruptedException());
        }
        standby.begin();
        begun = true;
    }

    /** The handler was called. */
    synchronized boolean hasBegun() {
        return begun;
    }

    /** Interrupts the handler. False if it had ended. */
    boolean stop() {
        synchronized (this) {
            if (over) {
                return false;
            }
            over = true;
            if (thread != null) {
                thread.interrupt();
            }
            return true;
        }
    }
}
