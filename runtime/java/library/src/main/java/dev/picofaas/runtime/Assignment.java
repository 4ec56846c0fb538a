// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.net.URI;
import java.net.URISyntaxException;

/** What a JOB is told about its one invocation: which one, whom to ask, and as whom. */
record Assignment(String executionId, String host, int port, String authority, String token) {
    static final String EXECUTION_ID = "EXECUTION_ID";
    static final String RUNTIME_URL = "PICOFAAS_RUNTIME_URL";
    static final String TOKEN = "PICOFAAS_TOKEN";

    static Assignment read(String executionId, String url, String token) throws StartException {
        if (!executionId.matches("[A-Za-z0-9._~-]{1," + Limits.EXECUTION_ID_BYTES_MAX + "}")) {
            throw malformed(EXECUTION_ID, executionId, "at most 256 letters, digits and any of -._~");
        }
        String rule = "http://HOST:PORT and no path, as http://127.0.0.1:8082";
        URI uri;
        try {
            uri = new URI(url);
        } catch (URISyntaxException malformed) {
            throw malformed(RUNTIME_URL, url, rule);
        }
        boolean bare = "http".equals(uri.getScheme()) && uri.getHost() != null && uri.getPort() > 0
            && uri.getPort() <= 65_535 && uri.getRawUserInfo() == null && uri.getRawQuery() == null
            && uri.getRawFragment() == null && (uri.getRawPath().isEmpty() || uri.getRawPath().equals("/"));
        if (!bare) {
            throw malformed(RUNTIME_URL, url, rule);
        }
        if (!token.chars().allMatch(c -> c > 0x20 && c < 0x7f)) {
            // Whose value is nobody's business.
            throw StartException.unclear(
                "PICOFAAS_TOKEN is not visible ASCII: give it as the control plane made it");
        }
        // An IPv6 address is in brackets here and in none where it is connected to.
        String host = uri.getHost().replace("[", "").replace("]", "");
        return new Assignment(executionId, host, uri.getPort(), uri.getRawAuthority(), token);
    }

    private static StartException malformed(String name, String value, String rule) {
        return StartException.unclear(name + " is `" + value + "`: give " + rule);
    }

    /** Without the token, which is not to appear where something is written for people. */
    @Override
    public String toString() {
        return "Assignment[" + executionId + " at " + authority + "]";
    }
}
