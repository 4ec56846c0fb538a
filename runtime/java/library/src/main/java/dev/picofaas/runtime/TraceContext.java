// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.util.List;
import java.util.regex.Pattern;

/**
 * The W3C trace context of a request, by the rules of https://www.w3.org/TR/trace-context-2/.
 *
 * @param parent the traceparent as it came, valid
 * @param state the tracestate as it came, several lines as one; null where there is none that is valid
 */
record TraceContext(String parent, String state) {
    /** Of a tracestate, all its lines together. The W3C asks for 512 at least. */
    private static final int STATE_CHARACTERS_MAX = 4096;
    /** Members of a tracestate that are not empty. */
    private static final int MEMBERS_MAX = 32;
    /** Of a member's key, and of its value. */
    private static final int WORD_CHARACTERS_MAX = 256;
    /** A traceparent of version 00: 00-TRACE-SPAN-FLAGS. */
    private static final int PARENT_CHARACTERS = 55;
    /** A comma between members, and the space around it. */
    private static final Pattern COMMA = Pattern.compile("[ \\t]*,[ \\t]*");

    /** Null where there is no traceparent, two, or one that is not valid: then its tracestate means nothing, either. */
    static TraceContext read(Headers headers) {
        List<String> parents = headers.getAll("traceparent");
        if (parents.size() != 1 || !isParent(parents.get(0))) {
            return null;
        }
        return new TraceContext(parents.get(0), state(headers.getAll("tracestate")));
    }

    /** The 32 hexadecimal digits of the trace. */
    String traceId() {
        return parent.substring(3, 35);
    }

    /** Whether a traceparent is valid. One of a later version may go on after another dash. */
    private static boolean isParent(String text) {
        if (text.length() < PARENT_CHARACTERS || text.charAt(2) != '-' || text.charAt(35) != '-'
                || text.charAt(52) != '-') {
            return false;
        }
        boolean hasDigits = isHex(text, 0, 2) && isHex(text, 3, 35) && isHex(text, 36, 52) && isHex(text, 53, 55);
        if (!hasDigits || text.startsWith("ff") || isZero(text, 3, 35) || isZero(text, 36, 52)) {
            return false;
        }
        return text.length() == PARENT_CHARACTERS
            || !text.startsWith("00") && text.charAt(PARENT_CHARACTERS) == '-' && isVisible(text);
    }

    private static boolean isHex(String text, int begin, int end) {
        return text.substring(begin, end).chars().allMatch(c -> c >= '0' && c <= '9' || c >= 'a' && c <= 'f');
    }

    private static boolean isZero(String text, int begin, int end) {
        return text.substring(begin, end).chars().allMatch(c -> c == '0');
    }

    /** Whether all of it is ASCII that can be printed. */
    private static boolean isVisible(String text) {
        return text.chars().allMatch(c -> c >= ' ' && c <= '~');
    }

    /** The list of all lines in their order; null where it has no members or is not valid. */
    private static String state(List<String> lines) {
        String list = String.join(",", lines.stream().filter(line -> !line.isEmpty()).toList());
        if (list.length() > STATE_CHARACTERS_MAX) {
            return null;
        }
        int members = 0;
        for (String member : COMMA.split(list)) {
            if (!member.isEmpty() && !isMember(member)) {
                return null;
            }
            members += member.isEmpty() ? 0 : 1;
        }
        return members == 0 || members > MEMBERS_MAX ? null : list;
    }

    /** Whether a member is key=value. */
    private static boolean isMember(String member) {
        int equals = member.indexOf('=');
        if (equals < 1 || equals > WORD_CHARACTERS_MAX) {
            return false;
        }
        String key = member.substring(0, equals);
        String value = member.substring(equals + 1);
        return isLetterOrDigit(key.charAt(0)) && key.chars().allMatch(c -> isLetterOrDigit(c) || "_-*/@".indexOf(c) >= 0)
            && !value.isEmpty() && value.length() <= WORD_CHARACTERS_MAX && value.indexOf('=') < 0 && isVisible(value);
    }

    private static boolean isLetterOrDigit(int c) {
        return c >= 'a' && c <= 'z' || c >= '0' && c <= '9';
    }
}
