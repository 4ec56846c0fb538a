// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;

/** The handlers that a program has, of which HANDLER chooses one. Only that one is made. */
final class Handlers {
    private final List<ServiceLoader.Provider<?>> providers = new ArrayList<>();
    /** Providers that are named and cannot be loaded. */
    private final List<String> broken = new ArrayList<>();

    /** The handlers named in META-INF/services. */
    Handlers() {
        find(FunctionHandler.class);
        find(WebHandler.class);
    }

    private <H> void find(Class<H> kind) {
        Iterator<ServiceLoader.Provider<H>> found = ServiceLoader.load(kind).stream().iterator();
        while (true) {
            // The iterator goes on behind a provider that is not there.
            try {
                if (!found.hasNext()) {
                    break;
                }
                providers.add(found.next());
            } catch (ServiceConfigurationError | LinkageError error) {
                broken.add(String.valueOf(error.getMessage()));
            }
        }
    }

    /** A {@link FunctionHandler} or a {@link WebHandler}. A lone handler needs no choice. */
    Object choose(String wanted) throws StartException {
        ServiceLoader.Provider<?> chosen = null;
        if (wanted == null) {
            if (providers.size() == 1 && broken.isEmpty()) {
                chosen = providers.get(0);
            } else if (providers.isEmpty()) {
                throw StartException.unclear("this program has no handler: name a class that implements "
                    + "FunctionHandler in META-INF/services/dev.picofaas.runtime.FunctionHandler, or one that "
                    + "implements WebHandler in META-INF/services/dev.picofaas.runtime.WebHandler" + faults());
            } else {
                throw StartException.unclear("HANDLER is not set and this program has several handlers; name one of: "
                    + known() + faults());
            }
        } else {
            for (ServiceLoader.Provider<?> provider : providers) {
                if (!wanted.equals(name(provider.type())) && !wanted.equals(provider.type().getName())) {
                    continue;
                }
                if (chosen != null) {
                    throw StartException.unclear("two handlers are called `" + wanted + "`: "
                        + chosen.type().getName() + " and " + provider.type().getName());
                }
                chosen = provider;
            }
            if (chosen == null) {
                throw StartException.unclear("HANDLER is `" + wanted
                    + "`, which this program does not have; it has: " + known() + faults());
            }
        }
        try {
            return chosen.get();
        } catch (ServiceConfigurationError | LinkageError error) {
            Throwable reason = error.getCause() == null ? error : error.getCause();
            throw StartException.unclear("the handler " + name(chosen.type()) + " cannot be made: "
                + Log.stack(reason).strip());
        }
    }

    private static String name(Class<?> type) {
        FunctionName chosen = type.getAnnotation(FunctionName.class);
        return chosen == null ? type.getSimpleName() : chosen.value();
    }

    private String known() {
        List<String> names = new ArrayList<>();
        for (ServiceLoader.Provider<?> provider : providers) {
            names.add(name(provider.type()));
        }
        return names.isEmpty() ? "none" : String.join(", ", names);
    }

    private String faults() {
        return broken.isEmpty() ? "" : "; not to be loaded: " + String.join("; ", broken);
    }
}
