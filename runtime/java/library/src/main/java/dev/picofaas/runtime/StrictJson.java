// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonGenerationException;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.ObjectCodec;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.io.IOContext;
import com.fasterxml.jackson.core.json.ByteSourceJsonBootstrapper;
import com.fasterxml.jackson.core.json.UTF8JsonGenerator;
import com.fasterxml.jackson.core.sym.ByteQuadsCanonicalizer;
import java.io.IOException;
import java.io.OutputStream;

/**
 * Writes JSON and nothing else. Jackson would write NaN and the infinities as texts, or as they are, and text that is
 * said to be JSON ({@link RawJson}) whatever it is. Reads texts and names of any length: a body is bounded as a whole.
 */
final class StrictJson extends JsonFactory {
    private static final long serialVersionUID = 1L;
    /** Of numbers that are computed with: the time that they take grows faster than they do. */
    private static final StreamReadConstraints ANY_TEXT = StreamReadConstraints.builder()
        .maxStringLength(Integer.MAX_VALUE).maxNameLength(Integer.MAX_VALUE)
        .maxNumberLength(Limits.NUMBER_DIGITS_MAX).build();
    /** Of numbers that stay text. */
    private static final StreamReadConstraints ANY_NUMBER =
        ANY_TEXT.rebuild().maxNumberLength(Integer.MAX_VALUE).build();
    /** For outputs that are text. Keeps no name. */
    private static final JsonFactory CHECKING = new JsonFactoryBuilder()
        .streamReadConstraints(ANY_NUMBER).disable(Feature.CANONICALIZE_FIELD_NAMES).build();

    StrictJson() {
        setStreamReadConstraints(ANY_TEXT);
    }

    /** From now on, numbers that are read stay text. */
    void takeAnyNumber() {
        setStreamReadConstraints(ANY_NUMBER);
    }

    /** Names are kept for later bodies; those of a long one are not, or a client could fill the memory with them. */
    @Override
    protected JsonParser _createParser(byte[] bytes, int from, int length, IOContext context) throws IOException {
        if (length <= Limits.NAMES_KEPT_BYTES_MAX) {
            return super._createParser(bytes, from, length, context);
        }
        return new ByteSourceJsonBootstrapper(context, bytes, from, length).constructParser(_parserFeatures,
            _objectCodec, ByteQuadsCanonicalizer.createRoot(), _rootCharSymbols,
            _factoryFeatures & ~Feature.INTERN_FIELD_NAMES.getMask());
    }

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
            try (JsonParser parser = CHECKING.createParser(text)) {
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
