// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import com.fasterxml.jackson.annotation.JsonRawValue;
import com.fasterxml.jackson.annotation.JsonValue;

/**
 * JSON as text: as an input it is what came, with its spaces and the digits of its numbers, as an output it is written
 * as it is. The runtime checks the syntax of both.
 */
public record RawJson(@JsonValue @JsonRawValue String text) {
    @Override
    public String toString() {
        return text;
    }
}
