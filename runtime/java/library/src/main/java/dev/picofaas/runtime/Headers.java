// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** The headers of a request or an answer. */
@FunctionalInterface
interface Headers {
    /** The first value of a name in lower case, or null. */
    String get(String name);
}
