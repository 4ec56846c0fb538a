// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import com.fasterxml.jackson.core.JsonGenerationException;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.BeanDescription;
import com.fasterxml.jackson.databind.BeanProperty;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonSerializer;
import com.fasterxml.jackson.databind.SerializationConfig;
import com.fasterxml.jackson.databind.SerializerProvider;
import com.fasterxml.jackson.databind.ser.BeanSerializerModifier;
import com.fasterxml.jackson.databind.ser.ContextualSerializer;
import java.io.IOException;

/** Refuses maps with a key that is NaN or infinite, which Jackson would write as a text. */
final class StrictKeys extends BeanSerializerModifier {
    private static final long serialVersionUID = 1L;

    @Override
    @SuppressWarnings("unchecked")
    public JsonSerializer<?> modifyKeySerializer(
            SerializationConfig config, JavaType type, BeanDescription bean, JsonSerializer<?> serializer) {
        Class<?> key = type.getRawClass();
        boolean mayBeFloat = key == double.class || key == float.class
            || key.isAssignableFrom(Double.class) || key.isAssignableFrom(Float.class);
        return mayBeFloat ? new Keys((JsonSerializer<Object>) serializer) : serializer;
    }

    private static final class Keys extends JsonSerializer<Object> implements ContextualSerializer {
        private final JsonSerializer<Object> written;

        Keys(JsonSerializer<Object> written) {
            this.written = written;
        }

        @Override
        @SuppressWarnings("unchecked")
        public JsonSerializer<?> createContextual(SerializerProvider provider, BeanProperty property)
                throws JsonMappingException {
            return written instanceof ContextualSerializer contextual
                ? new Keys((JsonSerializer<Object>) contextual.createContextual(provider, property)) : this;
        }

        @Override
        public void serialize(Object key, JsonGenerator generator, SerializerProvider provider) throws IOException {
            if (key instanceof Double wide && !Double.isFinite(wide)
                    || key instanceof Float narrow && !Float.isFinite(narrow)) {
                throw new JsonGenerationException("it has the key " + key + ", a number that JSON does not have",
                    generator);
            }
            written.serialize(key, generator, provider);
        }
    }
}
