// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerationException;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.ObjectCodec;
import com.fasterxml.jackson.core.io.IOContext;
import com.fasterxml.jackson.core.json.UTF8JsonGenerator;
import java.io.IOException;
import java.io.OutputStream;

/**
 * Writes JSON and nothing else. Jackson would write NaN and the infinities as texts, or as they are, and text that is
 * said to be JSON ({@link RawJson}) whatever it is.
 */
final class StrictJson extends JsonFactory {
    private static final long serialVersionUID = 1L;

    @Override
    protected JsonGenerator _createUTF8Generator(OutputStream out, IOContext context) throws IOException {
        return new Generator(context, _generatorFeatures, _objectCodec, out, _quoteChar);
    }

    private final class Generator extends UTF8JsonGenerator {
        Generator(IOContext context, int features, ObjectCodec codec, OutputStream out, char quote) {
            super(context, features, codec, out, quote);
        }

        @Override
        public void writeNumber(double value) throws IOException {
            if (!Double.isFinite(value)) {
                throw noNumber(value);
            }
            super.writeNumber(value);
        }

        @Override
        public void writeNumber(float value) throws IOException {
            if (!Float.isFinite(value)) {
                throw noNumber(value);
            }
            super.writeNumber(value);
        }

        @Override
        public void writeRawValue(String text) throws IOException {
            try (JsonParser parser = StrictJson.this.createParser(text)) {
                JsonToken first = parser.nextToken();
                parser.skipChildren();
                if (first == null || parser.nextToken() != null) {
                    throw new JsonGenerationException("a RawJson is not one JSON value", this);
                }
            } catch (JsonGenerationException fault) {
                throw fault;
            } catch (JsonProcessingException fault) {
                throw new JsonGenerationException("a RawJson is not JSON: " + fault.getOriginalMessage(), this);
            }
            super.writeRawValue(text);
        }

        private IOException noNumber(double value) {
            return new JsonGenerationException("it has the number " + value + ", which JSON does not have", this);
        }
    }
}
