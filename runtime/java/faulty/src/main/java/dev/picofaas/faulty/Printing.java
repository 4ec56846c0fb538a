// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import com.fasterxml.jackson.databind.JsonNode;
import dev.picofaas.runtime.Context;
import dev.picofaas.runtime.FunctionName;
import dev.picofaas.runtime.RawJson;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Timer;
import java.util.TimerTask;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.logging.Logger;
import org.slf4j.LoggerFactory;

/** Handlers that print, in the ways of Java. */
public final class Printing {
    private static final ExecutorService POOL = Executors.newFixedThreadPool(2, Printing::daemon);
    private static final ScheduledExecutorService SCHEDULED = Executors.newScheduledThreadPool(2, Printing::daemon);

    private Printing() {}

    private static Thread daemon(Runnable task) {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    }

    /**
     * A text to print.
     *
     * @param by the way
     * @param text what is printed
     */
    public record Print(String by, String text) {}

    /** Prints the variable CONTRACT_TEXT without an end of line, and returns it. */
    @FunctionName("last")
    public static final class Last extends Loading<RawJson, String> {
        @Override
        public String handle(RawJson input, Context context) {
            String text = System.getenv("CONTRACT_TEXT");
            System.err.print(text);
            return text;
        }
    }

    /** Prints input.text by the way input.by, and returns when it is printed. */
    @FunctionName("print")
    public static final class Prints extends Loading<Print, Void> {
        @Override
        public Void handle(Print input, Context context) throws Exception {
            String text = input.text();
            Runnable print = () -> System.out.println(text);
            switch (input.by()) {
                case "out" -> print.run();
                case "err" -> System.err.println(text);
                case "begun" -> System.out.print(text);
                case "parts" -> inParts(text);
                case "jul" -> Logger.getLogger("faulty").info(text);
                case "system logger" -> System.getLogger("faulty").log(System.Logger.Level.INFO, text);
                case "slf4j" -> LoggerFactory.getLogger("faulty").info(text);
                case "thread" -> joined(daemon(print));
                case "thread of a thread" -> joined(daemon(() -> joined(daemon(print))));
                case "pool" -> POOL.submit(print).get();
                case "pool parts" -> POOL.submit(() -> inParts(text)).get();
                case "carried" -> CompletableFuture.runAsync(print, context.carry(POOL)).get();
                case "thread of a carried task" ->
                    CompletableFuture.runAsync(() -> joined(daemon(print)), context.carry(POOL)).get();
                case "exit" -> {
                    System.out.print(text);
                    System.exit(3);
                }
                case "halt" -> {
                    System.out.print(text);
                    System.out.flush();
                    Runtime.getRuntime().halt(3);
                }
                default -> throw new IllegalArgumentException(input.by());
            }
            return null;
        }

        private static void inParts(String text) {
            System.out.print(text.substring(0, text.length() / 2));
            System.out.flush();
            System.out.println(text.substring(text.length() / 2));
        }

        private static void joined(Thread thread) {
            thread.start();
            try {
                thread.join();
            } catch (InterruptedException stopped) {
                throw new IllegalStateException(stopped);
            }
        }
    }

    /** Leaves behind, in the way input says, what prints `late` when `go` is asked for, which returns after that. */
    @FunctionName("left")
    public static final class Left extends Loading<String, Void> {
        private static final long MOMENT_MS = 1;

        private final CountDownLatch go = new CountDownLatch(1);
        private final CountDownLatch said = new CountDownLatch(1);

        @Override
        public Void handle(String input, Context context) throws InterruptedException {
            switch (input) {
                case "thread" -> daemon(this::late).start();
                case "pool" -> POOL.execute(this::late);
                case "common pool" -> ForkJoinPool.commonPool().execute(this::late);
                case "carried" -> context.carry(POOL).execute(this::late);
                case "thread of a carried task" -> {
                    CountDownLatch over = new CountDownLatch(1);
                    // The pool's thread takes the second task when the first is over.
                    ExecutorService one = Executors.newSingleThreadExecutor(Printing::daemon);
                    context.carry(one).execute(() -> daemon(this::late).start());
                    one.execute(over::countDown);
                    over.await();
                }
                case "scheduled" -> SCHEDULED.schedule(this::late, MOMENT_MS, TimeUnit.MILLISECONDS);
                case "delayed" -> CompletableFuture.runAsync(this::late,
                    CompletableFuture.delayedExecutor(MOMENT_MS, TimeUnit.MILLISECONDS));
                case "timer" -> new Timer(true).schedule(new TimerTask() {
                    @Override
                    public void run() {
                        late();
                    }
                }, MOMENT_MS);
                case "logger" -> daemon(() -> {
                    await(go);
                    context.log("late");
                    said.countDown();
                }).start();
                case "go" -> {
                    go.countDown();
                    said.await();
                }
                default -> throw new IllegalArgumentException(input);
            }
            return null;
        }

        private void late() {
            await(go);
            System.out.println("late");
            said.countDown();
        }

        private static void await(CountDownLatch latch) {
            try {
                latch.await();
            } catch (InterruptedException stopped) {
                throw new IllegalStateException(stopped);
            }
        }
    }

    /**
     * Which of the two invocations this is, and the files by which they know of each other.
     *
     * @param begin whether it is the first
     * @param go what the line waits for
     * @param said what is there when it is written
     */
    public record Order(boolean begin, String go, String said) {}

    /** Leaves a thread behind that prints `late line` once input.go is there; the second invocation waits for that. */
    @FunctionName("late")
    public static final class Late extends Loading<Order, Void> {
        private static final long LOOK_MS = 1;

        @Override
        public Void handle(Order input, Context context) throws Exception {
            if (input.begin()) {
                daemon(() -> {
                    try {
                        await(input.go());
                        System.err.println("late line");
                        Files.createFile(Path.of(input.said()));
                    } catch (Exception failed) {
                        throw new IllegalStateException(failed);
                    }
                }).start();
            } else {
                Files.createFile(Path.of(input.go()));
                await(input.said());
            }
            return null;
        }

        private static void await(String file) throws InterruptedException {
            while (!Files.exists(Path.of(file))) {
                Thread.sleep(LOOK_MS);
            }
        }
    }

    /** Prints a line of its own again and again, on the handler's thread and on one that it starts. */
    @FunctionName("chorus")
    public static final class Chorus extends Loading<JsonNode, Void> {
        private static final int LINES = 50;

        @Override
        public Void handle(JsonNode input, Context context) throws InterruptedException {
            Thread other = daemon(() -> sing(input.asText()));
            other.start();
            sing(input.asText());
            other.join();
            return null;
        }

        private static void sing(String text) {
            for (int n = 0; n < LINES; n++) {
                System.out.print(text);
                System.out.println("€".repeat(1000));
            }
        }
    }
}
