package prices;

import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/** A stock Spring Cloud service: it registers at Eureka, and calls a Nest service by its name. */
@SpringBootApplication
@RestController
public class Prices {

    private final RestTemplate template;

    Prices(@LoadBalanced RestTemplate template) {
        this.template = template;
    }

    public static void main(String[] args) {
        SpringApplication.run(Prices.class, args);
    }

    @GetMapping("/prices/{item}")
    Map<String, Object> price(@PathVariable String item) {
        Object stock = template.getForObject("http://NEST-STOCK/left/{item}", Map.class, item);
        return Map.of("item", item, "price", 3, "pricedBy", "Spring", "stock", stock);
    }

    @Configuration
    static class Templates {
        @Bean
        @LoadBalanced
        RestTemplate template() {
            return new RestTemplate();
        }
    }
}
