// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.handler.codec.http.HttpHeaders;
import java.util.List;

/**
 * Requests that a browser sends for a web page: none is for a function. A page of any site can have a browser send
 * requests to the machine that it runs on; it cannot keep the browser from saying so, and nothing but browsers says it.
 */
final class Origin {
    /** Sec-Fetch-Site where no page is behind a request: an address was typed, or a bookmark was opened. */
    private static final List<String> NO_SITE = List.of("none");

    private Origin() {
    }

    /** Whether a page is behind a request. What is there twice no browser sends, and it says nothing. */
    static boolean isPage(HttpHeaders headers) {
        return headers.contains("origin")
            || headers.contains("sec-fetch-site") && !headers.getAll("sec-fetch-site").equals(NO_SITE);
    }
}
