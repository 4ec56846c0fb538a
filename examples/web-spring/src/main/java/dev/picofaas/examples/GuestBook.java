// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.examples;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpSession;
import java.io.IOException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.core.io.FileSystemResource;
import org.springframework.core.io.Resource;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.multipart.MultipartFile;
import org.springframework.web.servlet.mvc.method.annotation.SseEmitter;
import org.springframework.web.servlet.view.RedirectView;
import org.springframework.web.socket.CloseStatus;
import org.springframework.web.socket.TextMessage;
import org.springframework.web.socket.WebSocketSession;
import org.springframework.web.socket.config.annotation.EnableWebSocket;
import org.springframework.web.socket.config.annotation.WebSocketConfigurer;
import org.springframework.web.socket.config.annotation.WebSocketHandlerRegistry;
import org.springframework.web.socket.handler.ConcurrentWebSocketSessionDecorator;
import org.springframework.web.socket.handler.TextWebSocketHandler;
import org.springframework.web.util.HtmlUtils;

/** A guest book: a form, uploads, a file, events and a chat, as any application in Spring has them. */
@SpringBootApplication
@EnableWebSocket
@RestController
public class GuestBook implements WebSocketConfigurer {
  private static final String PAGE = """
      <!doctype html>
      <title>Guest book</title>
      <form method="post" action="%1$s/notes"><input name="text"><button>Sign</button></form>
      <ul>%2$s</ul>
      <form method="post" action="%1$s/upload" enctype="multipart/form-data">
      <input type="file" name="file"><button>Send</button></form>
      """;

  /** Everyone who listens, by events and by chat. */
  private final Set<SseEmitter> readers = ConcurrentHashMap.newKeySet();
  private final Map<String, WebSocketSession> guests = new ConcurrentHashMap<>();

  public static void main(String[] arguments) {
    var application = new SpringApplication(GuestBook.class);
    application.setDefaultProperties(Map.of(
        "server.address", "127.0.0.1",
        "server.port", "${PORT:3000}",
        // Redirects and links have the address that the client sees: a proxy in front says it in X-Forwarded-….
        "server.forward-headers-strategy", "framework",
        // Never the session's id in a link, which it has before the client has shown that it keeps cookies.
        "server.servlet.session.tracking-modes", "cookie",
        "spring.mvc.async.request-timeout", "-1",
        "spring.servlet.multipart.max-file-size", "16MB",
        "spring.servlet.multipart.max-request-size", "16MB"));
    application.run(arguments);
  }

  @GetMapping(path = "/", produces = MediaType.TEXT_HTML_VALUE)
  String page(HttpServletRequest request, HttpSession session) {
    var notes = new StringBuilder();
    notes(session).forEach(note -> notes.append("<li>").append(HtmlUtils.htmlEscape(note, "UTF-8")).append("</li>"));
    return PAGE.formatted(request.getContextPath(), notes);
  }

  @PostMapping("/notes")
  RedirectView sign(@RequestParam String text, HttpSession session) {
    var notes = new ArrayList<>(notes(session));
    notes.add(text);
    session.setAttribute("notes", notes);
    say(text);
    var answer = new RedirectView("/", true);
    answer.setStatusCode(HttpStatus.SEE_OTHER);
    return answer;
  }

  @SuppressWarnings("unchecked")
  private static List<String> notes(HttpSession session) {
    return session.getAttribute("notes") instanceof List<?> notes ? (List<String>) notes : List.of();
  }

  record Upload(String name, long bytes, String sha256) {}

  @PostMapping("/upload")
  Upload upload(@RequestParam MultipartFile file) throws Exception {
    var hash = MessageDigest.getInstance("SHA-256").digest(file.getBytes());
    return new Upload(file.getOriginalFilename(), file.getSize(), HexFormat.of().formatHex(hash));
  }

  @GetMapping("/readme")
  ResponseEntity<Resource> readme() throws IOException {
    var file = new FileSystemResource("README.md");
    return ResponseEntity.ok().contentType(MediaType.TEXT_MARKDOWN).lastModified(file.lastModified()).body(file);
  }

  @GetMapping("/events")
  SseEmitter events() throws IOException {
    var reader = new SseEmitter();
    reader.onCompletion(() -> readers.remove(reader));
    readers.add(reader);
    reader.send("welcome");
    return reader;
  }

  @GetMapping("/health")
  String health() {
    return "well";
  }

  @PostMapping("/invoke")
  String invoke(@RequestBody String body) {
    return "invoked with " + body;
  }

  private void say(String text) {
    for (var reader : readers) {
      try {
        reader.send(text);
      } catch (IOException | IllegalStateException gone) {
        readers.remove(reader);
      }
    }
    for (var guest : guests.values()) {
      try {
        guest.sendMessage(new TextMessage(text));
      } catch (IOException | IllegalStateException gone) {
        guests.remove(guest.getId());
      }
    }
  }

  @Override
  public void registerWebSocketHandlers(WebSocketHandlerRegistry registry) {
    registry.addHandler(new TextWebSocketHandler() {
      @Override
      public void afterConnectionEstablished(WebSocketSession guest) {
        guests.put(guest.getId(), new ConcurrentWebSocketSessionDecorator(guest, 5000, 65536));
      }

      @Override
      protected void handleTextMessage(WebSocketSession guest, TextMessage message) {
        say(message.getPayload());
      }

      @Override
      public void afterConnectionClosed(WebSocketSession guest, CloseStatus status) {
        guests.remove(guest.getId());
      }
    }, "/chat");
  }
}
