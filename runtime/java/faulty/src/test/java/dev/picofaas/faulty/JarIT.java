// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.jar.JarFile;
import org.junit.jupiter.api.Test;

/** The jar of a function, as its build makes it. */
class JarIT {
    /** The build keeps what stood at the path of the jar when the whole one was moved there. */
    @Test
    void atThePathOfTheJarThereIsAlwaysAWholeOneOrNone() throws Exception {
        Path whole = Path.of(System.getProperty("function.jar"));
        Path before = whole.resolveSibling("original-" + whole.getFileName());
        for (Path jar : new Path[] {whole, before}) {
            if (jar == before && Files.notExists(before)) {
                continue;
            }
            try (JarFile file = new JarFile(jar.toFile())) {
                assertNotNull(file.getEntry("dev/picofaas/runtime/Main.class"), jar + " has no runtime");
            }
        }
    }
}
