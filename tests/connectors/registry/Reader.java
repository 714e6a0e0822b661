import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

/**
 * Reads values of relais' topics as any Java program may: Avro single-object encoding (C3 01, fingerprint, datum).
 * Arguments: files of schemas. Standard input: a value a line, in hexadecimal. Standard output: the name and the datum as JSON, bytes in
 * hexadecimal.
 */
public final class Reader {
    public static void main(String[] files) throws Exception {
        Map<Long, Schema> schemas = new HashMap<>();
        for (String file : files) {
            Schema schema = new Schema.Parser().parse(new File(file));
            schemas.put(SchemaNormalization.parsingFingerprint64(schema), schema);
        }
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ByteBuffer value = ByteBuffer.wrap(HexFormat.of().parseHex(line)).order(ByteOrder.LITTLE_ENDIAN);
            if (value.get() != (byte) 0xC3 || value.get() != 1) {
                throw new IllegalArgumentException("not in single-object encoding");
            }
            Schema schema = schemas.get(value.getLong());
            BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(value.array(), 10, value.remaining(), null);
            Object datum = new GenericDatumReader<Object>(schema).read(null, decoder);
            if (!decoder.isEnd()) {
                throw new IllegalArgumentException("bytes are left over");
            }
            StringBuilder json = new StringBuilder();
            write(json, datum);
            out.println(schema.getName() + " " + json);
        }
        out.flush();
    }

    private static void write(StringBuilder to, Object value) {
        if (value instanceof IndexedRecord record) {
            to.append('{');
            for (Schema.Field field : record.getSchema().getFields()) {
                to.append(field.pos() == 0 ? "" : ",").append('"').append(field.name()).append("\":");
                write(to, record.get(field.pos()));
            }
            to.append('}');
        } else if (value instanceof List<?> list) {
            String before = "";
            to.append('[');
            for (Object one : list) {
                to.append(before);
                write(to, one);
                before = ",";
            }
            to.append(']');
        } else if (value instanceof ByteBuffer bytes) {
            byte[] content = new byte[bytes.remaining()];
            bytes.duplicate().get(content);
            to.append('"').append(HexFormat.of().formatHex(content)).append('"');
        } else if (value == null || value instanceof Boolean || value instanceof Number) {
            to.append(value);
        } else {
            quote(to, value.toString());
        }
    }

    private static void quote(StringBuilder to, String text) {
        to.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                to.append('\\').append(c);
            } else if (c < 0x20) {
                to.append(String.format("\\u%04x", (int) c));
            } else {
                to.append(c);
            }
        }
        to.append('"');
    }
}
