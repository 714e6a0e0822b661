import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.LocalDate;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * State facts with Java and nothing but Java (17 or later): open a case, then hand it over to another body.
 *
 * <pre>RELAIS_URL=http://127.0.0.1:8400 RELAIS_TOKEN=relais_… java Publish.java viriat PC-0001 grand-bourg</pre>
 *
 * Sending the same events again is safe: the same source, subject and id are the same fact. So whoever got no answer sends again.
 */
public class Publish {
    static final String URL = System.getenv().getOrDefault("RELAIS_URL", "http://127.0.0.1:8400");
    static final int TRIES = 5;

    public static void main(String[] args) throws Exception {
        String body = args[0], number = args[1], to = args[2];
        String today = LocalDate.now(ZoneId.of("Europe/Paris")).toString(); // a legal date is a local one
        // The reference of a handoff is drawn by its sender, once, and kept: here it follows from the number.
        String handoff = "handoff:" + body + ":" + digest(body + "/" + number + ">" + to).substring(0, 32);
        Map<String, String> opened = Map.of("occurred_on", today, "procedure", "urbanisme.pc-maison");
        Map<String, String> sent = Map.of("occurred_on", today, "handoff", handoff, "to", to, "kind", "transfer");
        String events = "[" + event(body, number, "case.opened", number + "-opened", opened) + ","
            + event(body, number, "handoff.sent", number + "-sent-" + to, sent) + "]";
        HttpResponse<String> answer = send(events);
        Map<?, ?> told = (Map<?, ?>) new Json(answer.body()).read();
        if (answer.statusCode() >= 300) {
            System.err.println(explain(told));
            System.exit(1);
        }
        for (Object one : (List<?>) told.get("accepted")) {
            Map<?, ?> receipt = (Map<?, ?>) one;
            System.out.println(receipt.get("id") + " " + URL + receipt.get("journey"));
        }
    }

    static String event(String body, String number, String type, String id, Map<String, String> data) {
        Map<String, String> event = new LinkedHashMap<>();
        event.put("specversion", "1.0");
        event.put("source", body + "/example");
        event.put("subject", "case:" + body + "/" + number);
        event.put("type", "fr.relais." + type);
        event.put("id", id);
        String written = Json.write(event);
        return written.substring(0, written.length() - 1) + ",\"data\":" + Json.write(data) + "}";
    }

    /** Send a batch, all or nothing; wait and send again while the bus cannot take it. */
    static HttpResponse<String> send(String events) throws InterruptedException {
        HttpClient client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(10)).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(URL + "/v1/events"))
            .header("Authorization", "Bearer " + System.getenv("RELAIS_TOKEN"))
            .header("Content-Type", "application/cloudevents-batch+json")
            .header("Prefer", "wait=20")
            .timeout(Duration.ofSeconds(60))
            .POST(HttpRequest.BodyPublishers.ofString(events))
            .build();
        for (int tries = 0; tries < TRIES; tries++) {
            long wait = 1;
            try {
                HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
                if (answer.statusCode() != 429 && answer.statusCode() < 500) return answer;
                wait = answer.headers().firstValueAsLong("Retry-After").orElse(1);
            } catch (IOException notThere) {
                // the same events again, after a while
            }
            Thread.sleep(wait * 1000);
        }
        System.err.println("the bus does not answer: send the same events later");
        System.exit(1);
        return null;
    }

    /** What is to be mended, one line each. */
    static String explain(Map<?, ?> problem) {
        StringBuilder lines = new StringBuilder(problem.get("title") + ": " + problem.get("detail"));
        if (problem.get("problems") instanceof List<?> flaws) {
            for (Object one : flaws) {
                Map<?, ?> flaw = (Map<?, ?>) one;
                Object index = flaw.containsKey("index") ? flaw.get("index") : "0";
                lines.append("\nevent ").append(index).append(", ").append(flaw.get("field")).append(": ")
                    .append(flaw.get("mend")).append(" (").append(flaw.get("code")).append(")");
            }
        }
        return lines.toString();
    }

    static String digest(String text) throws Exception {
        byte[] bytes = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        return HexFormat.of().formatHex(bytes);
    }

    /** As much JSON as this needs; a program with a JSON library takes that. Numbers, true, false and null are read as their text. */
    static final class Json {
        private final String text;
        private int at;

        Json(String text) {
            this.text = text;
        }

        static String write(Map<String, String> fields) {
            List<String> parts = new ArrayList<>();
            fields.forEach((name, value) -> parts.add(quote(name) + ":" + quote(value)));
            return "{" + String.join(",", parts) + "}";
        }

        static String quote(String text) {
            StringBuilder out = new StringBuilder("\"");
            for (char c : text.toCharArray()) {
                if (c == '"' || c == '\\') out.append('\\').append(c);
                else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
                else out.append(c);
            }
            return out.append('"').toString();
        }

        Object read() {
            char next = peek();
            if (next == '"') return string();
            if (next != '{' && next != '[') return word();
            at++;
            Map<String, Object> fields = new LinkedHashMap<>();
            List<Object> items = new ArrayList<>();
            while (peek() != '}' && peek() != ']') {
                if (next == '[') {
                    items.add(read());
                } else {
                    String name = string();
                    peek();
                    at++; // the colon
                    fields.put(name, read());
                }
                if (peek() == ',') at++;
            }
            at++;
            return next == '{' ? fields : items;
        }

        private char peek() {
            while (Character.isWhitespace(text.charAt(at))) at++;
            return text.charAt(at);
        }

        private String word() {
            int start = at;
            while (at < text.length() && ",]} \n\r\t".indexOf(text.charAt(at)) < 0) at++;
            return text.substring(start, at);
        }

        private String string() {
            StringBuilder out = new StringBuilder();
            peek();
            for (at++; text.charAt(at) != '"'; at++) {
                char c = text.charAt(at);
                if (c != '\\') {
                    out.append(c);
                    continue;
                }
                c = text.charAt(++at);
                if (c == 'u') {
                    out.append((char) Integer.parseInt(text.substring(at + 1, at + 5), 16));
                    at += 4;
                } else {
                    out.append("bfnrt".indexOf(c) < 0 ? c : "\b\f\n\r\t".charAt("bfnrt".indexOf(c)));
                }
            }
            at++;
            return out.toString();
        }
    }
}
