// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/**
 * The end of an invocation, as its JOB posts it: {@code {"success","output","error","status"}}.
 *
 * @param deadlineNs until when it matters, or null
 */
record Completion(byte[] body, Long deadlineNs) {
    /** The output is spliced in as the text it is. */
    static Completion success(Bytes output, Call call) {
        ByteArrayOutputStream body = new ByteArrayOutputStream(output.length() + 64);
        body.writeBytes("{\"success\":true,\"output\":".getBytes(StandardCharsets.UTF_8));
        body.write(output.array(), 0, output.length());
        body.writeBytes(",\"error\":null,\"status\":200}".getBytes(StandardCharsets.UTF_8));
        return new Completion(body.toByteArray(), call.deadlineNs());
    }

    static Completion failure(Failure failure, Call call) {
        String body = "{\"success\":false,\"output\":null,\"error\":" + Text.errorDetail(failure)
            + ",\"status\":" + failure.status + "}";
        return new Completion(body.getBytes(StandardCharsets.UTF_8), call == null ? null : call.deadlineNs());
    }
}
