import { peerError } from '../../../backend/index.js';
import { AppRegistration } from '../../../nest/index.js';
import { EventHub } from '../../../observability/index.js';

/** What of `grpc-health-check` is used. */
interface Health {
  setStatus(service: string, status: 'SERVING' | 'NOT_SERVING'): void;
  addToServer(server: never): void;
}

/** What is used of an app: Nest's `INestApplication` and `INestMicroservice` have it. */
export interface AppWithProviders {
  // oxlint-disable-next-line typescript/no-explicit-any, typescript/no-unnecessary-type-parameters -- as Nest has them
  get<T>(token: any): T;
}

/**
 * gRPC's own health service (`grpc.health.v1.Health`) on a server of Nest's, for Kubernetes' probes, Consul's checks and clients
 * that ask for it: `SERVING` while the app may take traffic, `NOT_SERVING` before, while it is paused or its health is bad, and
 * from the first step of a shutdown on. So says the whole server (`''`), and each service of its package.
 *
 * ```ts
 * const health = await GrpcHealth.load();
 * const app = await NestFactory.createMicroservice(AppModule, {
 *   transport: Transport.GRPC,
 *   options: { package: 'hello', protoPath, url, onLoadPackageDefinition: health.onLoadPackageDefinition },
 * });
 * health.follow(app);
 * ```
 *
 * @publicApi
 */
export class GrpcHealth {
  private readonly services = new Set(['']);
  private isServing = false;

  private constructor(private readonly health: Health) {
    this.tell();
  }

  /**
   * Loads the package `grpc-health-check`.
   * @throws DiscoveryError `MISSING_PEER`, `PEER_UNUSABLE`
   */
  static async load(): Promise<GrpcHealth> {
    try {
      const { HealthImplementation } = await import('grpc-health-check');
      return new GrpcHealth(new HealthImplementation());
    } catch (error) {
      throw peerError('/microservices', 'grpc-health-check', error);
    }
  }

  /** For Nest's gRPC options: adds the service to the server. */
  readonly onLoadPackageDefinition = (definition: object, server: object): void => {
    for (const [name, one] of Object.entries(definition) as [string, object][]) {
      // Messages and enums have a format, services have methods.
      if (!('format' in one)) this.services.add(name);
    }
    this.health.addToServer(server as never);
    this.tell();
  };

  /** Says from now on what the app says of itself. */
  follow(app: AppWithProviders): void {
    const registration = app.get<AppRegistration>(AppRegistration);
    app.get<EventHub>(EventHub).on('readiness.changed', ({ ready }) => this.set(ready));
    this.set(registration.isReady);
  }

  private set(isServing: boolean): void {
    if (this.isServing === isServing) return;
    this.isServing = isServing;
    this.tell();
  }

  private tell(): void {
    for (const service of this.services) this.health.setStatus(service, this.isServing ? 'SERVING' : 'NOT_SERVING');
  }
}
