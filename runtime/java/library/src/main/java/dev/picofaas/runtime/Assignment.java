// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** The one invocation of a JOB: which one, whom to ask, and as whom. */
record Assignment(String executionId, Access access) {
    static final String EXECUTION_ID = "EXECUTION_ID";

    static Assignment read(String executionId, String url, String token) throws StartException {
        if (!executionId.matches("[A-Za-z0-9._~-]{1," + Limits.EXECUTION_ID_BYTES_MAX + "}")) {
            throw StartException.malformed(EXECUTION_ID, executionId, "at most 256 letters, digits and any of -._~");
        }
        return new Assignment(executionId, Access.read(url, token));
    }
}
