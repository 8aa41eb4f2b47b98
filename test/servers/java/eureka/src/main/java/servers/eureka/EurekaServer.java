package servers.eureka;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.netflix.eureka.server.EnableEurekaServer;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.annotation.web.configurers.AbstractHttpConfigurer;
import org.springframework.security.web.SecurityFilterChain;

/** The stock Eureka server; with {@code servers.basic-auth=true} every request but health needs a login. */
@SpringBootApplication
@EnableEurekaServer
public class EurekaServer {

    public static void main(String[] args) {
        SpringApplication.run(EurekaServer.class, args);
    }

    @Bean
    SecurityFilterChain security(HttpSecurity http, @Value("${servers.basic-auth:false}") boolean basicAuth)
            throws Exception {
        http.csrf(AbstractHttpConfigurer::disable);
        if (basicAuth) {
            http.authorizeHttpRequests(requests -> requests
                    .requestMatchers("/actuator/health/**").permitAll()
                    .anyRequest().authenticated());
            http.httpBasic(Customizer.withDefaults());
        } else {
            http.authorizeHttpRequests(requests -> requests.anyRequest().permitAll());
        }
        return http.build();
    }
}
