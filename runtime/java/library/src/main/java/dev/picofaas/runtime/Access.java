// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.net.URI;
import java.net.URISyntaxException;

/**
 * The control plane that a runtime calls, and as whom.
 *
 * @param authority host and port, as they were given
 */
record Access(String host, int port, String authority, String token) {
    static final String RUNTIME_URL = "PICOFAAS_RUNTIME_URL";
    static final String TOKEN = "PICOFAAS_TOKEN";

    static Access read(String url, String token) throws StartException {
        String rule = "http://HOST:PORT and no path, as http://127.0.0.1:8082";
        URI uri;
        try {
            uri = new URI(url);
        } catch (URISyntaxException malformed) {
            throw StartException.malformed(RUNTIME_URL, url, rule);
        }
        boolean bare = "http".equals(uri.getScheme()) && uri.getHost() != null && uri.getPort() > 0
            && uri.getPort() <= 65_535 && uri.getRawUserInfo() == null && uri.getRawQuery() == null
            && uri.getRawFragment() == null && (uri.getRawPath().isEmpty() || uri.getRawPath().equals("/"));
        if (!bare) {
            throw StartException.malformed(RUNTIME_URL, url, rule);
        }
        if (!token.chars().allMatch(c -> c > 0x20 && c < 0x7f)) {
            // Its value is nobody's business.
            throw StartException.unclear(
                "PICOFAAS_TOKEN is not visible ASCII: give it as the control plane made it");
        }
        // An IPv6 address is in brackets here and in none where it is connected to.
        String host = uri.getHost().replace("[", "").replace("]", "");
        return new Access(host, uri.getPort(), uri.getRawAuthority(), token);
    }

    /** The head of a request; each of {@code more} ends in a line break. */
    String head(String method, String path, String more) {
        return method + " " + path + " HTTP/1.1\r\nhost: " + authority + "\r\nauthorization: Bearer " + token
            + "\r\n" + more + "\r\n";
    }

    /** Without the token, which is not to appear where something is written for people. */
    @Override
    public String toString() {
        return "Access[" + authority + "]";
    }
}
