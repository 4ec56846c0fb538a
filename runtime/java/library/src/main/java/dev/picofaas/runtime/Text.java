// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.nio.charset.StandardCharsets;

/** Text that is cut, quoted, and put into JSON. */
final class Text {
    private Text() {}

    /** A message within its limit, marked where it was cut. */
    static String shortened(String message) {
        if (message.length() * 3L <= Limits.MESSAGE_BYTES_MAX) {
            return message;
        }
        int bytes = message.getBytes(StandardCharsets.UTF_8).length;
        if (bytes <= Limits.MESSAGE_BYTES_MAX) {
            return message;
        }
        return message.substring(0, end(message, 0, Limits.MESSAGE_BYTES_MAX)) + "… (" + bytes + " bytes in all)";
    }

    /** Where a piece from {@code begin} ends that has at most {@code max} bytes as UTF-8 and whole characters. */
    static int end(String text, int begin, int max) {
        int at = begin;
        int bytes = 0;
        while (at < text.length()) {
            int point = text.codePointAt(at);
            bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
            if (bytes > max) {
                break;
            }
            at += Character.charCount(point);
        }
        return at;
    }

    /** The same for bytes of UTF-8; where they are none, they are cut anywhere. */
    static int end(byte[] text, int begin, int max) {
        if (text.length - begin <= max) {
            return text.length;
        }
        for (int end = begin + max; end > begin && end > begin + max - 4; end--) {
            if ((text[end] & 0xC0) != 0x80) {
                return end;
            }
        }
        return begin + max;
    }

    /** In double quotes and on one line. It is a JSON string, too. */
    static String quoted(String text) {
        StringBuilder quoted = new StringBuilder(text.length() + 2).append('"');
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            switch (c) {
                case '"' -> quoted.append("\\\"");
                case '\\' -> quoted.append("\\\\");
                case '\n' -> quoted.append("\\n");
                case '\r' -> quoted.append("\\r");
                case '\t' -> quoted.append("\\t");
                default -> {
                    boolean lone = Character.isSurrogate(c) && !pairs(text, at);
                    if (c < 0x20 || c == 0x7f || lone) {
                        quoted.append(String.format("\\u%04x", (int) c));
                    } else {
                        quoted.append(c);
                    }
                }
            }
        }
        return quoted.append('"').toString();
    }

    private static boolean pairs(String text, int at) {
        char c = text.charAt(at);
        return Character.isHighSurrogate(c)
            ? at + 1 < text.length() && Character.isLowSurrogate(text.charAt(at + 1))
            : at > 0 && Character.isHighSurrogate(text.charAt(at - 1));
    }

    /** {@code {"code","message"}}, and {@code "retryable":false} where it is final. */
    static String errorDetail(Failure failure) {
        return "{\"code\":" + quoted(failure.code) + ",\"message\":" + quoted(shortened(failure.getMessage()))
            + (failure.isFinal ? ",\"retryable\":false}" : "}");
    }
}
