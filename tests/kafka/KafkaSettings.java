import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.types.Password;
import org.apache.kafka.common.security.JaasContext;

/**
 * Reads a properties file per line of standard input (Base64 of UTF-8), and prints what Java and Kafka's own classes
 * make of it: the settings, as a client has them, and the options of sasl.jaas.config.
 */
public class KafkaSettings {
  private static final Map<String, ConfigDef.ConfigKey> KEYS = ConsumerConfig.configDef().configKeys();

  public static void main(String[] args) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    StringBuilder out = new StringBuilder();
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String text = new String(Base64.getDecoder().decode(line), StandardCharsets.UTF_8);
      out.append(answer(text)).append('\n');
    }
    System.out.print(out);
  }

  private static String answer(String text) throws Exception {
    Properties properties = new Properties();
    try {
      properties.load(new StringReader(text));
    } catch (IllegalArgumentException malformed) {
      return "malformed";
    }
    Map<String, String> settings = new TreeMap<>();
    properties.forEach((key, value) -> settings.put((String) key, parsed((String) key, (String) value)));
    // A value without a name is refused here, and a lone backslash at the end is one to Java.
    settings.remove("");
    return encoded(settings) + " " + jaasOptions(settings.get("sasl.jaas.config"));
  }

  /** A STRING or PASSWORD setting as Kafka parses it; anything else as it is in the file. */
  private static String parsed(String key, String value) {
    ConfigDef.ConfigKey known = KEYS.get(key);
    if (known == null) return value;
    if (known.type != ConfigDef.Type.STRING && known.type != ConfigDef.Type.PASSWORD) return value;
    Object result = ConfigDef.parseType(key, value, known.type);
    return result instanceof Password ? ((Password) result).value() : (String) result;
  }

  @SuppressWarnings("unchecked")
  private static String jaasOptions(String config) {
    if (config == null) return "none";
    try {
      JaasContext context = JaasContext.loadClientContext(Map.of("sasl.jaas.config", new Password(config)));
      Map<String, String> options = (Map<String, String>) context.configurationEntries().get(0).getOptions();
      Map<String, String> named = new TreeMap<>();
      options.forEach((key, value) -> { if (key != null) named.put(key, value); });
      return encoded(named);
    } catch (RuntimeException refused) {
      return "refused";
    }
  }

  private static String encoded(Map<String, String> map) {
    StringBuilder out = new StringBuilder("{");
    map.forEach((key, value) -> out.append(base64(key)).append(':').append(base64(value)).append(','));
    return out.append('}').toString();
  }

  private static String base64(String text) {
    return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
  }
}
