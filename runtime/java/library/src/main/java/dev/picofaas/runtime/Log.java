// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.PrintWriter;
import java.io.StringWriter;

/**
 * The runtime's own lines, on stderr. Every line about an invocation carries its ids, those of a stack too, so that
 * the lines of one execution can be picked from those of its neighbours.
 */
final class Log {
    private Log() {}

    static void line(String text) {
        Lines.say(text + "\n");
    }

    /** Writes a message about an invocation; each line of it carries the ids. */
    static void about(Ids ids, String level, String message) {
        int whole = message.length();
        while (whole > 0 && (message.charAt(whole - 1) == '\n' || message.charAt(whole - 1) == '\r')) {
            whole--;
        }
        StringBuilder text = new StringBuilder();
        int begin = 0;
        while (true) {
            int end = message.indexOf('\n', begin);
            end = end < 0 || end > whole ? whole : end;
            int piece = Math.min(end, Text.end(message, begin, Limits.LOG_LINE_BYTES_MAX));
            int last = piece > begin && piece == end && message.charAt(piece - 1) == '\r' ? piece - 1 : piece;
            text.append(level).append(' ').append(who(ids)).append(' ').append(message, begin, last).append('\n');
            if (piece >= whole) {
                break;
            }
            begin = message.charAt(piece) == '\n' ? piece + 1 : piece;
        }
        Lines.say(text.toString());
    }

    /** An invocation that failed. */
    static void failure(Ids ids, Failure failure) {
        StringBuilder text = new StringBuilder();
        text.append("error ").append(who(ids)).append(" code=").append(failure.code);
        text.append(" status=").append(failure.status).append(" message=");
        text.append(Text.quoted(Text.shortened(failure.getMessage()))).append('\n');
        if (failure.getCause() != null) {
            stack(failure.getCause()).lines().limit(Limits.STACK_LINES_MAX).forEach(frame ->
                text.append("error ").append(who(ids)).append(' ')
                    .append(frame, 0, Text.end(frame, 0, Limits.LOG_LINE_BYTES_MAX)).append('\n'));
        }
        Lines.say(text.toString());
    }

    static String stack(Throwable thrown) {
        StringWriter stack = new StringWriter();
        thrown.printStackTrace(new PrintWriter(stack));
        return stack.toString();
    }

    static String who(Ids ids) {
        return "executionId=" + ids.execution() + " traceId=" + ids.trace();
    }
}
