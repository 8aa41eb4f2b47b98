package peer;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.springframework.boot.env.YamlPropertySourceLoader;
import org.springframework.boot.origin.OriginTrackedValue;
import org.springframework.core.env.EnumerablePropertySource;
import org.springframework.core.env.PropertySource;
import org.springframework.core.io.FileSystemResource;

/** Prints the properties of each YAML file of a folder, as Spring Boot reads them: the kind of each value, and its text. */
public class SpringReader {
  public static void main(String[] args) throws Exception {
    Map<String, Object> files = new LinkedHashMap<>();
    try (var paths = Files.list(Path.of(args[0]))) {
      for (Path path : paths.sorted().toList()) {
        files.put(path.getFileName().toString(), read(path));
      }
    }
    System.out.println(new ObjectMapper().writeValueAsString(files));
  }

  private static Object read(Path path) {
    Map<String, Object> properties = new LinkedHashMap<>();
    try {
      List<PropertySource<?>> sources = new YamlPropertySourceLoader().load("x", new FileSystemResource(path));
      for (PropertySource<?> source : sources) {
        for (String name : ((EnumerablePropertySource<?>) source).getPropertyNames()) {
          properties.put(name, valueOf(source.getProperty(name)));
        }
      }
    } catch (Exception error) {
      return Map.of("error", String.valueOf(error.getMessage()));
    }
    return properties;
  }

  private static List<String> valueOf(Object value) {
    if (value instanceof OriginTrackedValue tracked) return valueOf(tracked.getValue());
    if (value instanceof byte[] bytes) return List.of("bytes", Base64.getEncoder().encodeToString(bytes));
    return List.of(value == null ? "null" : value.getClass().getSimpleName(), String.valueOf(value));
  }
}
