// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * The threads that handlers run on: a virtual one for each attempt where the JVM has them (21 and later), else at most
 * {@link Limits#THREADS_MAX}, kept for the next. Attempts beyond that wait, and as many as there are connections and attempts on them can.
 * It belongs to the event loop.
 */
final class Workers {
    private final ExecutorService executor;
    private final int atOnceMax;
    private final Deque<Runnable> waiting = new ArrayDeque<>();
    private int running;

    Workers() {
        ExecutorService virtual = virtualThreads();
        executor = virtual != null ? virtual : new ThreadPoolExecutor(0, Integer.MAX_VALUE, Limits.THREAD_IDLE_MS,
            TimeUnit.MILLISECONDS, new SynchronousQueue<>(), Workers::thread);
        atOnceMax = virtual != null ? Integer.MAX_VALUE : Limits.THREADS_MAX;
    }

    /** Of Java 21; this is compiled for 17, so the method is looked up, once. */
    private static ExecutorService virtualThreads() {
        try {
            MethodHandle maker = MethodHandles.publicLookup().findStatic(Executors.class,
                "newVirtualThreadPerTaskExecutor", MethodType.methodType(ExecutorService.class));
            return (ExecutorService) maker.invokeExact();
        } catch (NoSuchMethodException | IllegalAccessException | UnsupportedOperationException older) {
            // 19 and 20 have the method and refuse to run it.
            return null;
        } catch (Throwable thrown) {
            Log.line("warning no virtual threads: " + thrown);
            return null;
        }
    }

    private static Thread thread(Runnable work) {
        Thread thread = new Thread(work, "handler");
        // A handler that ignores its interruption does not keep the process from ending.
        thread.setDaemon(true);
        return thread;
    }

    /** Runs the work now or once a thread is free; {@code ended} is called after it, on its thread. */
    void run(Runnable work, Runnable ended) {
        Runnable whole = () -> {
            try {
                work.run();
            } finally {
                ended.run();
            }
        };
        if (running < atOnceMax) {
            running++;
            executor.execute(whole);
        } else {
            waiting.add(whole);
        }
    }

    /** Work has ended: the next has its place. */
    void ended() {
        Runnable next = waiting.poll();
        if (next == null) {
            running--;
        } else {
            executor.execute(next);
        }
    }
}
