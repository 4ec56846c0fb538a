// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import java.nio.charset.StandardCharsets;

/**
 * The HEAD of a request. Ids are in hexadecimal; fields that are not there are null.
 *
 * @param deadlineMs milliseconds left
 * @param bodyBytes without a sign, and not to be trusted with an allocation
 * @param traceName where it is not the trace id
 * @param traceParent as it came, where its version is not 00
 */
public record RequestHead(String executionId, String traceId, String parentSpanId, int traceFlags, int attempt,
        long deadlineMs, long bodyBytes, String traceState, String idempotencyKey, String traceName,
        String traceParent) {
    /** Bytes before the fields. */
    static final int FIXED_BYTES = 64;
    private static final int FIELD_HEAD_BYTES = 3;
    private static final int TRACE_STATE = 1;
    private static final int IDEMPOTENCY_KEY = 2;
    private static final int TRACE_NAME = 4;
    private static final int TRACE_PARENT = 5;

    /** Reads a payload of so many bytes, up to the body that is inside of it. */
    static RequestHead read(ByteBuf input, int bytes, boolean ends) throws Breach {
        if (bytes < FIXED_BYTES) {
            throw new Breach(CloseReason.MALFORMED);
        }
        int at = input.readerIndex();
        String executionId = ByteBufUtil.hexDump(input, at, 20);
        String traceId = ByteBufUtil.hexDump(input, at + 20, 16);
        String parentSpanId = ByteBufUtil.hexDump(input, at + 36, 8);
        int traceFlags = input.getUnsignedByte(at + 44);
        int attempt = input.getUnsignedShortLE(at + 46);
        long deadlineMs = input.getUnsignedIntLE(at + 48);
        long bodyBytes = input.getLongLE(at + 52);
        long fieldsBytes = input.getUnsignedIntLE(at + 60);
        if (fieldsBytes > bytes - FIXED_BYTES) {
            throw new Breach(CloseReason.MALFORMED);
        }
        int fieldsAt = at + FIXED_BYTES;
        int bodyAt = fieldsAt + (int) fieldsBytes;
        checkFields(input, fieldsAt, bodyAt);
        long inside = at + bytes - bodyAt;
        if (inside != (ends ? bodyBytes : 0)) {
            throw new Breach(CloseReason.BODY_LENGTH);
        }
        input.readerIndex(bodyAt);
        return new RequestHead(executionId, traceId, parentSpanId, traceFlags, attempt, deadlineMs, bodyBytes,
            field(input, fieldsAt, bodyAt, TRACE_STATE), field(input, fieldsAt, bodyAt, IDEMPOTENCY_KEY),
            field(input, fieldsAt, bodyAt, TRACE_NAME), field(input, fieldsAt, bodyAt, TRACE_PARENT));
    }

    /** Fields are exactly as long as the head says. */
    private static void checkFields(ByteBuf input, int begin, int end) throws Breach {
        int at = begin;
        while (at < end) {
            if (end - at < FIELD_HEAD_BYTES) {
                throw new Breach(CloseReason.MALFORMED);
            }
            at += FIELD_HEAD_BYTES + input.getUnsignedShortLE(at + 1);
        }
        if (at > end) {
            throw new Breach(CloseReason.MALFORMED);
        }
    }

    /** The first field of a number, as the bytes of a header are read; null where there is none. */
    private static String field(ByteBuf input, int begin, int end, int number) {
        int at = begin;
        while (at < end) {
            int bytes = input.getUnsignedShortLE(at + 1);
            if (input.getUnsignedByte(at) == number) {
                return input.toString(at + FIELD_HEAD_BYTES, bytes, StandardCharsets.ISO_8859_1);
            }
            at += FIELD_HEAD_BYTES + bytes;
        }
        return null;
    }
}
