// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.handler.codec.http.HttpHeaders;
import java.util.List;

/** The headers of a request or an answer. */
interface Headers {
    /** The first value of a name in lower case, or null. */
    String get(String name);

    /** All values of a name in lower case, in their order; empty where there are none. */
    List<String> getAll(String name);

    static Headers of(HttpHeaders headers) {
        return new Headers() {
            @Override
            public String get(String name) {
                return headers.get(name);
            }

            @Override
            public List<String> getAll(String name) {
                return headers.getAll(name);
            }
        };
    }
}
