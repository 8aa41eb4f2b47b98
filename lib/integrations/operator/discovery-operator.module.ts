import {
  Inject,
  Module,
  Optional,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import type { Unsubscribe } from '../../backend/index.js';
import { AppRegistration, DiscoveryTelemetry } from '../../nest/index.js';
import { DiscoveryRuntime } from '../../nest/discovery-runtime.js';
import { Actuator } from './actuator/actuator.js';
import { actuatorController } from './actuator/actuator.controller.js';
import { EventFeed } from './event-feed.js';
import { operatorController } from './operator.controller.js';
import {
  resolveOperatorOptions,
  type DiscoveryOperatorOptions,
  type ResolvedOperatorOptions,
} from './operator.options.js';
import { OperatorParts } from './operator-parts.js';
import { OperatorState } from './operator-state.js';
import { RetryWatch } from './retry-watch.js';

const OPTIONS = 'nestjs-service-discovery:operator:options';

/**
 * A page and endpoints that show what this app sees of its services, registrations and configuration, and take it out of traffic and
 * back. Import it beside `DiscoveryModule`, in the root module.
 *
 * @publicApi
 */
@Module({})
export class DiscoveryOperatorModule implements OnModuleInit, OnApplicationShutdown {
  private unsubscribe: Unsubscribe = () => {};

  /** @internal Made by Nest. */
  constructor(
    @Inject(OperatorParts) private readonly parts: OperatorParts,
    @Inject(DiscoveryRuntime) private readonly runtime: DiscoveryRuntime,
    @Optional() @Inject(Actuator) private readonly actuator?: Actuator,
  ) {}

  /**
   * The module with its options; the path is one of them, as Nest wants it before anything is injected.
   * @throws DiscoveryError `INVALID_OPTION`, naming the field: `guard` when there is none in production (`NODE_ENV`)
   */
  static register(options: DiscoveryOperatorOptions = {}): DynamicModule {
    const resolved = resolveOperatorOptions(options);
    const { actuator, readOnly } = resolved;
    return {
      module: DiscoveryOperatorModule,
      imports: [...(options.imports ?? [])],
      controllers: [
        operatorController(resolved),
        ...(actuator === undefined ? [] : [actuatorController(actuator.path, resolved.guards)]),
      ],
      providers: [
        { provide: OPTIONS, useValue: resolved },
        {
          provide: OperatorParts,
          useFactory: partsOf,
          inject: [OPTIONS, DiscoveryRuntime, AppRegistration, DiscoveryTelemetry],
        },
        ...(actuator === undefined
          ? []
          : [
              {
                provide: Actuator,
                useFactory: (...parts: [DiscoveryRuntime, AppRegistration, DiscoveryTelemetry, ApplicationConfig]) =>
                  new Actuator(actuator, readOnly, ...parts),
                inject: [DiscoveryRuntime, AppRegistration, DiscoveryTelemetry, ApplicationConfig],
              },
            ]),
      ],
    };
  }

  onModuleInit(): void {
    const { feed } = this.parts;
    this.unsubscribe = this.runtime.events.subscribe((event) => {
      feed.take(event);
      // A stream never ends by itself: whoever watches is told that the app stops, and is let go.
      if (event.type === 'readiness.changed' && event.stopping) feed.close();
    });
  }

  onApplicationShutdown(): void {
    this.unsubscribe();
    this.parts.feed.close();
    this.actuator?.metrics.stop();
  }
}

function partsOf(
  options: ResolvedOperatorOptions,
  runtime: DiscoveryRuntime,
  registration: AppRegistration,
  telemetry: DiscoveryTelemetry,
): OperatorParts {
  const { clock } = runtime.options;
  const retries = new RetryWatch(clock, telemetry, () => feed);
  const feed: EventFeed = new EventFeed(clock, options.maxStreams, retries.watch);
  const state = new OperatorState(runtime, registration, telemetry, feed, options.readOnly);
  return new OperatorParts(options, state, feed, registration, runtime.logger);
}
