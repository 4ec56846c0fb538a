// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.util.List;
import java.util.Map;

/**
 * An answer of the control plane, read whole.
 *
 * @param headers by their names in lower case
 * @param body null where it was too large; then the rest of it was not read
 * @param arrivedNs when its head was there
 * @param reusable the connection can take another request
 */
record Answer(int status, Map<String, List<String>> headers, byte[] body, long arrivedNs, boolean reusable)
        implements Headers {
    @Override
    public String get(String name) {
        List<String> values = headers.get(name);
        return values == null ? null : values.get(0);
    }

    @Override
    public List<String> getAll(String name) {
        return headers.getOrDefault(name, List.of());
    }
}
