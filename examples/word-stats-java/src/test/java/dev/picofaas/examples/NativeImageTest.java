// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.examples;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.InputStream;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Metadata that a native program has of this one. Whether it is enough, only GraalVM can say. */
class NativeImageTest {
    /** Of Java 21, without which there is no GraalVM to read this. */
    private static final String LATER = "newVirtualThreadPerTaskExecutor";

    /** Folder of the files that name the handlers of a function. */
    private static final String SERVICES = "META-INF/services/";

    private static JsonNode metadata(String artifact) throws Exception {
        String name = "/META-INF/native-image/dev.picofaas/" + artifact + "/reachability-metadata.json";
        try (InputStream file = WordStats.class.getResourceAsStream(name)) {
            assertNotNull(file, name);
            return JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build().readTree(file);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"picofaas-runtime", "word-stats-java"})
    void everyClassMethodAndResourceThatIsNamedIsThere(String artifact) throws Exception {
        JsonNode metadata = metadata(artifact);
        assertTrue(metadata.at("/reflection").size() > 0);
        for (JsonNode entry : metadata.at("/reflection")) {
            Class<?> type = Class.forName(entry.at("/type").asText(), false, getClass().getClassLoader());
            for (JsonNode method : entry.at("/methods")) {
                String name = method.at("/name").asText();
                assertTrue(method.at("/parameterTypes").isArray() && method.at("/parameterTypes").isEmpty(), name);
                if (name.equals("<init>")) {
                    assertDoesNotThrow(() -> type.getDeclaredConstructor());
                } else if (!name.equals(LATER) || Runtime.version().feature() >= 21) {
                    assertDoesNotThrow(() -> type.getDeclaredMethod(name));
                }
            }
        }
        for (JsonNode resource : metadata.at("/resources")) {
            String path = resource.at("/glob").asText();
            if (path.startsWith(SERVICES)) {
                // A function has handlers of one kind, and the runtime looks for each.
                assertTrue(Class.forName(path.substring(SERVICES.length())).isInterface(), path);
            } else {
                assertNotNull(getClass().getResource("/" + path), path);
            }
        }
    }

    @Test
    void theServicesOfItsOwnHandlersAreNamed() throws Exception {
        String own = SERVICES + "dev.picofaas.runtime.FunctionHandler";
        assertNotNull(getClass().getResource("/" + own));
        assertTrue(metadata("picofaas-runtime").at("/resources").toString().contains(own));
    }

    @Test
    void everyClassThatJacksonReadsOrWritesIsNamed() throws Exception {
        Set<String> named = new TreeSet<>();
        metadata("word-stats-java").at("/reflection").forEach(entry -> named.add(entry.at("/type").asText()));
        Set<String> needed = new TreeSet<>(Set.of(WordStats.class.getName()));
        for (Class<?> type : WordStats.class.getDeclaredClasses()) {
            needed.add(type.getName());
        }
        assertTrue(named.containsAll(needed), needed + " in " + named);
    }
}
