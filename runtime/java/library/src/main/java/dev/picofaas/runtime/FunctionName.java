// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** The name of a {@link FunctionHandler} in {@code HANDLER}; without it, it is the class's simple name. */
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.TYPE)
public @interface FunctionName {
    String value();
}
