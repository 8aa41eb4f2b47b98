package peer;

import java.util.List;
import java.util.Map;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceProvider;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.core.env.Environment;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/** A service as Spring's documentation shows it: it registers, answers, calls others by name, and has configuration. */
@SpringBootApplication
@RestController
public class SpringPeer {

    private final DiscoveryClient discovery;
    private final RestTemplate template;
    private final Environment environment;
    private final CuratorFramework curator;

    SpringPeer(
            DiscoveryClient discovery,
            @LoadBalanced RestTemplate template,
            Environment environment,
            CuratorFramework curator) {
        this.curator = curator;
        this.discovery = discovery;
        this.template = template;
        this.environment = environment;
    }

    public static void main(String[] args) {
        SpringApplication.run(SpringPeer.class, args);
    }

    @GetMapping("/hello")
    Map<String, String> hello() {
        return Map.of("from", "spring");
    }

    @GetMapping("/services")
    List<String> services() {
        return discovery.getServices();
    }

    /** What Spring's own client sees of a service. */
    @GetMapping("/instances")
    List<Map<String, Object>> instances(@RequestParam String service) {
        return discovery.getInstances(service).stream().map(SpringPeer::describe).toList();
    }

    /** Calls a service by its name, through Spring's load balancer. */
    @GetMapping("/call")
    String call(@RequestParam String service, @RequestParam String path) {
        return template.getForObject("http://" + service + path, String.class);
    }

    /** What Spring's own configuration has under a key. */
    @GetMapping("/property")
    String property(@RequestParam String key) {
        return environment.getProperty(key, "");
    }

    /** What Curator by itself reads of a service, and how many of them it would hand out. */
    @GetMapping("/curator")
    Map<String, Object> curator(@RequestParam String root, @RequestParam String service) throws Exception {
        try (ServiceDiscovery<Object> plain =
                ServiceDiscoveryBuilder.builder(Object.class).client(curator).basePath(root).build()) {
            plain.start();
            try (ServiceProvider<Object> provider =
                    plain.serviceProviderBuilder().serviceName(service).build()) {
                provider.start();
                return Map.of(
                        "read",
                        plain.queryForInstances(service).stream()
                                .map(one -> Map.of(
                                        "uri", one.buildUriSpec(),
                                        "enabled", one.isEnabled(),
                                        "payload", one.getPayload() == null ? "none" : one.getPayload()))
                                .toList(),
                        "offered",
                        provider.getAllInstances().size());
            }
        }
    }

    private static Map<String, Object> describe(ServiceInstance instance) {
        return Map.of(
                "id", instance.getInstanceId(),
                "host", instance.getHost(),
                "port", instance.getPort(),
                "secure", instance.isSecure(),
                "uri", instance.getUri().toString(),
                "metadata", instance.getMetadata());
    }

    @org.springframework.context.annotation.Configuration
    static class Templates {
        @Bean
        @LoadBalanced
        RestTemplate template() {
            return new RestTemplate();
        }
    }
}
