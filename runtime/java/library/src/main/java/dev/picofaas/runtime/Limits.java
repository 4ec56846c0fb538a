// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** Every limit of the runtime, with its unit last. */
final class Limits {
    /** A request's body: the gateway's default of 1 MiB, and room for what a gateway may be told to add to it. */
    static final int BODY_BYTES_MAX = 1_048_576 + 65_536;
    /** An output as JSON: the gateway's default. */
    static final int OUTPUT_BYTES_MAX = 1_048_576;
    /** The most that MAX_BODY and MAX_OUTPUT may be raised to. */
    static final int SETTING_BYTES_MAX = 1 << 30;
    /** A number of an input that is not passed on as text. */
    static final int NUMBER_DIGITS_MAX = 1000;
    /** A body whose names are kept, as far as those of others leave room. */
    static final int NAMES_KEPT_BYTES_MAX = 8192;
    /** A message in an answer or a log line. Messages about bad input quote it, and it may be as long as a body. */
    static final int MESSAGE_BYTES_MAX = 2048;
    static final int EXECUTION_ID_BYTES_MAX = 256;
    /** How far a deadline may lie ahead: the longest time-out of a function. */
    static final long DEADLINE_MS_MAX = 86_400_000;
    /** From a request's head to its body's last byte. A gateway has it whole, so only a broken peer takes longer. */
    static final long BODY_READ_MS_MAX = 30_000;
    /** A request's head. */
    static final int HEAD_BYTES_MAX = 32_768;
    /** Requests on one connection that came before their turn; beyond it the connection is closed. */
    static final int PIPELINED_MAX = 128;
    /** Open at once; more wait in the backlog. Above the largest instanceConcurrency that a function can have. */
    static final int CONNECTIONS_MAX = 10_240;
    /** Out at once on one connection that speaks frames: as many as could be on connections of their own. */
    static final int FRAME_ATTEMPTS_MAX = CONNECTIONS_MAX;
    /** How late a timer may be before it is taken for a sign that this process was held up itself. */
    static final long HELD_UP_MS = 200;
    /** Waiting to be accepted; the kernel lowers it to net.core.somaxconn. */
    static final int BACKLOG_CONNECTIONS_MAX = 4096;
    /** Handlers that run at once where the JVM has no virtual threads; more wait for one to end. */
    static final int THREADS_MAX = 512;
    /** How long a thread that has nothing to do is kept. */
    static final long THREAD_IDLE_MS = 60_000;
    /** How long what still comes in is read after an early answer, so that the answer is not lost with it. */
    static final long LINGER_MS = 1000;
    /** From the end of a standby's one invocation to that of the process, where its connection stays open. */
    static final long STANDBY_LINGER_MS = 1000;
    /** Of a web request's body, waiting to be read by its handler; beyond it nothing is read of the connection. */
    static final int WEB_BODY_BYTES = 65_536;
    /** Of a web answer's body, before its head is sent. */
    static final int WEB_ANSWER_KEPT_BYTES = 16_384;
    /** One piece of a web answer's body. */
    static final int WEB_PIECE_BYTES = 65_536;
    /** Looks for what had come before the signal to end. */
    static final int DRAIN_LOOKS_MAX = 1000;
    /** A handler's log line, ids excluded: the control plane cuts lines over 16 KiB. */
    static final int LOG_LINE_BYTES_MAX = 8192;
    /** Lines that were begun and are not at their end; when there are more, all are ended. */
    static final int LINES_BEGUN_MAX = 1024;
    /** Exceptions within one another. */
    static final int CAUSES_MAX = 100;
    /** Lines of one stack in the log. */
    static final int STACK_LINES_MAX = 100;
    /** How long a JOB tries to get its input. */
    static final long INPUT_WAIT_MS_MAX = 30_000;
    /** How long after its deadline, or the end of a handler without one, a JOB goes on posting its result. */
    static final long COMPLETE_GRACE_MS = 10_000;
    /** One try of a call to the control plane, connecting included. */
    static final long EXCHANGE_MS_MAX = 30_000;
    static final int CONNECT_MS_MAX = 5000;
    static final long RETRY_PAUSE_MS_MIN = 10;
    static final long RETRY_PAUSE_MS_MAX = 1000;
    /** One try of an announcement, connecting apart. A control plane that is there answers at once. */
    static final long ANNOUNCE_MS_MAX = 5000;
    /** The pause after the first try of an announcement; it doubles up to the next, as long as the instance lives. */
    static final long ANNOUNCE_PAUSE_MS_MIN = 50;
    static final long ANNOUNCE_PAUSE_MS_MAX = 5000;
    /** From one line about announcements that are not taken to the next. */
    static final long ANNOUNCE_SILENCE_MS = 60_000;
    /** Time for the finally blocks of a JOB's handler that was told to stop. */
    static final long STOP_GRACE_MS = 1000;
    static final int ANSWER_HEADERS_MAX = 64;
    /** The head of an answer of the control plane, of a chunk's, and of its trailers. */
    static final int ANSWER_HEAD_BYTES_MAX = 16_384;
    /** An answer that is not the input. */
    static final int REFUSAL_BYTES_MAX = 16_384;

    private Limits() {}
}
