// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.exc.InvalidDefinitionException;
import com.fasterxml.jackson.databind.exc.UnrecognizedPropertyException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/** A request's body. Fields it does not know are the gateway's or a later version's. */
record Envelope(Object input, Map<String, String> metadata) {
    static Envelope read(Bytes body, ObjectReader reader, Class<?> inputType) throws Failure {
        String place = null;
        try (JsonParser parser = reader.createParser(body.array(), 0, body.length())) {
            JsonToken first = parser.nextToken();
            if (first != JsonToken.START_OBJECT) {
                throw malformed(first == null ? "EOF while parsing a value" : "it is " + kind(first));
            }
            boolean isThere = false;
            Object input = null;
            Map<String, String> metadata = null;
            String field;
            while ((field = parser.nextFieldName()) != null) {
                parser.nextToken();
                if (field.equals("input")) {
                    if (isThere) {
                        throw malformed("duplicate field `input`");
                    }
                    isThere = true;
                    place = field;
                    input = input(parser, body, reader, inputType);
                } else if (field.equals("metadata")) {
                    if (metadata != null) {
                        throw malformed("duplicate field `metadata`");
                    }
                    metadata = metadata(parser);
                } else {
                    parser.skipChildren();
                }
                place = null;
            }
            if (parser.nextToken() != null) {
                throw malformed("trailing characters");
            }
            if (!isThere) {
                throw malformed("missing field `input`");
            }
            return new Envelope(input, metadata == null ? Map.of() : Collections.unmodifiableMap(metadata));
        } catch (InvalidDefinitionException fault) {
            throw Failure.badInputType(path(place, fault) + ": " + reason(fault), fault);
        } catch (JsonMappingException fault) {
            if (Failure.chosen(fault) != null) {
                throw Failure.thrown(fault);
            }
            throw Failure.badInput(path(place, fault) + ": " + reason(fault));
        } catch (JsonProcessingException fault) {
            String message = fault.getOriginalMessage();
            throw malformed(message + (fault.getLocation() == null ? ""
                : " at line " + fault.getLocation().getLineNr() + " column " + fault.getLocation().getColumnNr()));
        } catch (IOException fault) {
            throw malformed(String.valueOf(fault.getMessage()));
        } catch (RuntimeException | StackOverflowError thrown) {
            // A constructor or setter of the input's type that refuses its values.
            throw Failure.badInput((place == null ? "body" : place) + ": " + thrown);
        }
    }

    private static Object input(JsonParser parser, Bytes body, ObjectReader reader, Class<?> type)
            throws IOException, Failure {
        if (type == RawJson.class) {
            int begin = (int) parser.currentTokenLocation().getByteOffset();
            parser.skipChildren();
            parser.finishToken();
            int end = (int) parser.currentLocation().getByteOffset();
            return new RawJson(new String(body.array(), begin, end - begin, StandardCharsets.UTF_8).strip());
        }
        boolean isNull = parser.currentToken() == JsonToken.VALUE_NULL;
        Object input = reader.readValue(parser);
        if (isNull && input == null && type != Object.class && type != Void.class) {
            throw Failure.badInput("input: it is null");
        }
        return input;
    }

    private static Map<String, String> metadata(JsonParser parser) throws IOException, Failure {
        if (parser.currentToken() == JsonToken.VALUE_NULL) {
            return null;
        }
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw Failure.badInput("metadata: invalid type: " + kind(parser.currentToken()) + ", expected a map");
        }
        Map<String, String> metadata = new LinkedHashMap<>();
        String name;
        while ((name = parser.nextFieldName()) != null) {
            JsonToken value = parser.nextToken();
            if (value != JsonToken.VALUE_STRING) {
                throw Failure.badInput("metadata." + name + ": invalid type: " + kind(value) + ", expected a string");
            }
            metadata.put(name, parser.getText());
        }
        return metadata;
    }

    private static Failure malformed(String fault) {
        return Failure.badInput("the body must be {\"input\": …, \"metadata\": {…}}: " + fault);
    }

    private static String path(String place, JsonMappingException fault) {
        StringBuilder path = new StringBuilder(place == null ? "body" : place);
        for (JsonMappingException.Reference step : fault.getPath()) {
            if (step.getFieldName() != null) {
                path.append('.').append(step.getFieldName());
            } else {
                path.append('[').append(step.getIndex()).append(']');
            }
        }
        return path.toString();
    }

    /** Without the names of classes where that can be had. */
    private static String reason(JsonMappingException fault) {
        if (fault instanceof UnrecognizedPropertyException unknown) {
            Collection<Object> known = unknown.getKnownPropertyIds();
            String names = known == null || known.isEmpty() ? "" : ", expected "
                + known.stream().map(name -> "`" + name + "`").sorted().collect(Collectors.joining(" or "));
            return "unknown field `" + unknown.getPropertyName() + "`" + names;
        }
        return fault.getOriginalMessage();
    }

    private static String kind(JsonToken token) {
        if (token == null) {
            return "nothing";
        }
        return switch (token) {
            case START_OBJECT -> "an object";
            case START_ARRAY -> "an array";
            case VALUE_STRING -> "a string";
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "a number";
            case VALUE_TRUE, VALUE_FALSE -> "a boolean";
            case VALUE_NULL -> "null";
            default -> "no value";
        };
    }
}
