// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.Module;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.ser.BeanSerializerFactory;
import com.fasterxml.jackson.databind.type.LogicalType;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.ServiceConfigurationError;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;

/** One handler, ready to run: body → input → handler → output. */
final class Program {
    /** Null where the program answers web requests. */
    private final FunctionHandler<Object, Object> handler;
    /** Null where it takes JSON. */
    private final WebHandler web;
    private final Class<?> inputType;
    private final ObjectReader reader;
    private final ObjectWriter writer;
    private final int outputBytesMax;

    @SuppressWarnings("unchecked")
    Program(FunctionHandler<?, ?> handler, int outputBytesMax) throws StartException {
        StrictJson json = new StrictJson();
        ObjectMapper mapper = JsonMapper.builder(json)
            // Before the modules, which add to it.
            .serializerFactory(BeanSerializerFactory.instance.withSerializerModifier(new StrictKeys()))
            // Modules that the function brings, such as the one for java.time.
            .addModules(modules())
            // A text is no number and half an apple no apple: an input is taken as it is or refused.
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
            .withCoercionConfig(LogicalType.Textual, text -> text
                .setCoercion(CoercionInputShape.Integer, CoercionAction.Fail)
                .setCoercion(CoercionInputShape.Float, CoercionAction.Fail)
                .setCoercion(CoercionInputShape.Boolean, CoercionAction.Fail))
            .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
            .disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS)
            .disable(SerializationFeature.WRITE_DURATIONS_AS_TIMESTAMPS)
            .disable(SerializationFeature.FAIL_ON_EMPTY_BEANS)
            // The shortest digits that read back as the same number, on every JVM.
            .enable(StreamWriteFeature.USE_FAST_DOUBLE_WRITER)
            .enable(StreamReadFeature.USE_FAST_DOUBLE_PARSER)
            // Four bytes for a character beyond U+FFFF, not twelve of two escapes.
            .enable(JsonWriteFeature.COMBINE_UNICODE_SURROGATES_IN_UTF8)
            .build();
        JavaType[] types = mapper.getTypeFactory().findTypeParameters(
            mapper.constructType(handler.getClass()), FunctionHandler.class);
        JavaType type = types == null || types.length == 0 ? mapper.constructType(Object.class) : types[0];
        this.handler = (FunctionHandler<Object, Object>) handler;
        this.web = null;
        this.inputType = type.getRawClass();
        if (inputType == RawJson.class) {
            json.takeAnyNumber();
        }
        this.reader = mapper.readerFor(type);
        this.writer = mapper.writer();
        this.outputBytesMax = outputBytesMax;
    }

    /** A program that answers web requests and nothing else. */
    Program(WebHandler web) {
        this.web = web;
        handler = null;
        inputType = null;
        reader = null;
        writer = null;
        outputBytesMax = 0;
    }

    /** The handler of web requests, or null. */
    WebHandler web() {
        return web;
    }

    /** The step before the handler is called; a failure keeps it from being called. */
    interface Beginning {
        void begin() throws Failure;
    }

    /** Runs the handler on this thread. */
    Bytes run(Call call, Bytes body, Beginning beginning) throws Failure {
        if (web != null) {
            throw Failure.notAJsonFunction();
        }
        Envelope envelope = Envelope.read(body, reader, inputType);
        Context context = new Context(call, envelope.metadata());
        beginning.begin();
        Object output;
        try {
            output = settled(handler.handle(envelope.input(), context));
        } catch (Throwable thrown) {
            // Errors, too: one invocation that recurses without end is no reason to end the others.
            throw Failure.thrown(thrown);
        }
        return written(output);
    }

    /** Runs the handler of web requests on this thread, and ends its answer. */
    void answer(WebRequest request, WebResponse response, Call call, Beginning beginning) throws Failure {
        Context context = new Context(call, Map.of());
        beginning.begin();
        try {
            web.handle(request, response, context);
            response.finish();
        } catch (Throwable thrown) {
            throw Failure.thrown(thrown);
        }
    }

    private static List<Module> modules() throws StartException {
        try {
            return ObjectMapper.findModules();
        } catch (ServiceConfigurationError | LinkageError error) {
            throw StartException.unclear("a module of Jackson cannot be loaded: " + Log.stack(error).strip());
        }
    }

    /** The output itself where the handler returned the promise of one: its thread may wait. */
    private static Object settled(Object output) throws Throwable {
        Object settled = output;
        while (settled instanceof Future<?> || settled instanceof CompletionStage<?>) {
            Future<?> promise = settled instanceof Future<?> future ? future
                : ((CompletionStage<?>) settled).toCompletableFuture();
            try {
                settled = promise.get();
            } catch (ExecutionException failed) {
                throw failed.getCause() == null ? failed : failed.getCause();
            }
        }
        return settled;
    }

    private Bytes written(Object output) throws Failure {
        BoundedOutput bounded = new BoundedOutput(outputBytesMax);
        try {
            writer.writeValue(bounded, output);
        } catch (IOException | RuntimeException | StackOverflowError reason) {
            throw bounded.overflowed() ? Failure.outputTooLarge(outputBytesMax) : Failure.badOutput(reason);
        }
        if (bounded.isEmpty()) {
            throw Failure.badOutput(new IOException("nothing was written"));
        }
        return bounded.bytes();
    }
}
