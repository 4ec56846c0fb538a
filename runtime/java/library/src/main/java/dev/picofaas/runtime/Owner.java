// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.util.concurrent.Executor;

/**
 * The execution that the lines of a thread are of, where that is certain. A handler's thread has it. A thread that it
 * starts has it until the handler returns; after that what it prints may be of any. The threads of pools work for
 * whoever gives them a task, so they have none, unless the process never had another execution, or the task came by
 * {@link Context#carry}.
 */
final class Owner {
    /** Of threads that were there before the handler, or are left of an execution that is over. */
    private static final Owner NONE = new Owner(null);
    private static final InheritableThreadLocal<Owner> OF_THREAD = new InheritableThreadLocal<>() {
        @Override
        protected Owner childValue(Owner parent) {
            return parent == null ? null : parent.ofStartedThread();
        }
    };

    private static volatile Owner first;
    private static volatile boolean hadSeveral;

    private final Ids ids;
    private volatile boolean over;

    private Owner(Ids ids) {
        this.ids = ids;
    }

    /** Threads that are started from this one on their own account have no execution. */
    static void none() {
        OF_THREAD.set(NONE);
    }

    /** This thread works for an execution from now on. */
    static Owner begin(Ids ids) {
        Owner owner = new Owner(ids);
        if (!hadSeveral) {
            count(owner);
        }
        OF_THREAD.set(owner);
        return owner;
    }

    private static synchronized void count(Owner owner) {
        if (first == null) {
            first = owner;
        } else if (!first.ids.execution().equals(owner.ids.execution())) {
            hadSeveral = true;
        }
    }

    /** This thread has worked for it. */
    void end() {
        Lines.endLinesOf(ids);
        over = true;
        OF_THREAD.set(NONE);
    }

    /** Whether the process had an execution: before that, nothing that is printed can be of a client. */
    static boolean hadAny() {
        return first != null;
    }

    /** The ids of the execution that a line of this thread is of, or null. */
    static Ids ids() {
        Owner owner = OF_THREAD.get();
        if (owner == null) {
            Owner only = first;
            return only == null || hadSeveral ? null : only.ids;
        }
        return owner.over ? null : owner.ids;
    }

    /**
     * An executor whose tasks are of this execution, on whichever thread. Threads that a task starts have it until the
     * task is over: after that they may work for any.
     */
    static Executor carrying(Executor executor, Ids ids) {
        return task -> executor.execute(() -> {
            Owner before = OF_THREAD.get();
            Owner carried = new Owner(ids);
            OF_THREAD.set(carried);
            try {
                task.run();
            } finally {
                Lines.endLines();
                carried.over = true;
                OF_THREAD.set(before);
            }
        });
    }

    private Owner ofStartedThread() {
        if (ids == null || over) {
            return NONE;
        }
        return StackWalker.getInstance().walk(frames -> frames.anyMatch(Owner::startsPoolThread)) ? null : this;
    }

    private static boolean startsPoolThread(StackWalker.StackFrame frame) {
        String name = frame.getClassName();
        return switch (frame.getMethodName()) {
            case "addWorker" -> name.equals("java.util.concurrent.ThreadPoolExecutor");
            case "createWorker" -> name.equals("java.util.concurrent.ForkJoinPool");
            case "<init>" -> name.equals("java.util.Timer");
            case "doStartThread" -> name.startsWith("io.netty.");
            case "createNewWorker" -> name.startsWith("kotlinx.coroutines.");
            default -> false;
        };
    }
}
