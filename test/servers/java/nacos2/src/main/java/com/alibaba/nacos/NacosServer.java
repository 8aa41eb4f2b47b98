package com.alibaba.nacos;

import com.alibaba.nacos.core.code.ControllerMethodsCache;
import com.alibaba.nacos.sys.filter.NacosTypeExcludeFilter;
import javax.annotation.PostConstruct;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.AutoConfigurationExcludeFilter;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.TypeExcludeFilter;
import org.springframework.boot.web.servlet.ServletComponentScan;
import org.springframework.context.annotation.ComponentScan;
import org.springframework.context.annotation.FilterType;
import org.springframework.scheduling.annotation.EnableScheduling;

/**
 * Starts the modules of a Nacos 2.x server. It stands in for the console module, which holds the main class of the real
 * distribution and isn't published: same scan, same filters, same preparation of the cache that the filters for
 * authentication and rate limits look methods up in. It lies in this package so that the scan covers the modules.
 */
@SpringBootApplication
@ComponentScan(basePackages = "com.alibaba.nacos", excludeFilters = {
        @ComponentScan.Filter(type = FilterType.CUSTOM, classes = NacosTypeExcludeFilter.class),
        @ComponentScan.Filter(type = FilterType.CUSTOM, classes = TypeExcludeFilter.class),
        @ComponentScan.Filter(type = FilterType.CUSTOM, classes = AutoConfigurationExcludeFilter.class)})
@ServletComponentScan
@EnableScheduling
public class NacosServer {

    private final ControllerMethodsCache methods;

    public NacosServer(ControllerMethodsCache methods) {
        this.methods = methods;
    }

    public static void main(String[] args) {
        System.setProperty("nacos.standalone", "true");
        SpringApplication.run(NacosServer.class, args);
    }

    @PostConstruct
    void cacheControllerMethods() {
        methods.initClassMethod("com.alibaba.nacos.core.controller");
        methods.initClassMethod("com.alibaba.nacos.naming.controllers");
        methods.initClassMethod("com.alibaba.nacos.config.server.controller");
    }
}
