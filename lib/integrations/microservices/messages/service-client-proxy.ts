import type { ClientProxy } from '@nestjs/microservices';
import { Observable, ReplaySubject, throwError, type Observer } from 'rxjs';
import type { NestMicroservices } from '../nest-microservices.js';
import type { InstanceClient, Packet } from './instance-client.js';
import { MessageCall } from './message-call.js';
import type { MessageService } from './message-service.js';

/** What of Nest's base class isn't the same in both of its versions. */
interface OwnPackets {
  createPacket?(pattern: unknown, data: unknown): Packet;
}

/** @internal What a {@link ServiceClientProxy} is made of. */
export interface ServiceClientProxyOptions {
  readonly service: MessageService;
  readonly idempotent: readonly (string | object)[] | true;
}

/**
 * Nest's `ClientProxy` for a service: each message goes to an instance that the app's load balancer picks, by a connection of
 * its own to each. A message that surely wasn't sent goes to the next instance; one whose connection broke does when its
 * pattern was declared `idempotent`. Errors that the service answers are thrown as they come.
 */
export function serviceClientProxy({ ClientProxy: Base }: NestMicroservices): ServiceClientProxyClass {
  class ServiceClientProxy extends Base {
    private readonly service: MessageService;
    /** The routes of patterns that may be sent twice; true: all. */
    private readonly idempotent: ReadonlySet<string> | true;

    /** @internal Made by the module, or by Nest's `ClientsModule` as its `customClass`. */
    constructor({ service, idempotent }: ServiceClientProxyOptions) {
      super();
      this.service = service;
      this.idempotent =
        idempotent === true || new Set(idempotent.map((pattern) => this.normalizePattern(pattern as string)));
    }

    // oxlint-disable-next-line typescript/no-explicit-any, typescript/no-unnecessary-type-parameters -- as Nest has them
    override send<TResult = any, TInput = any>(pattern: any, data: TInput): Observable<TResult> {
      if (isMissing(pattern) || isMissing(data)) return super.send(pattern, data);
      return new Observable((observer) => {
        const call = this.callOf(pattern, data, observer as Observer<unknown>);
        call.send().catch((error: unknown) => observer.error(error));
        return () => call.giveUp();
      });
    }

    // oxlint-disable-next-line typescript/no-explicit-any, typescript/no-unnecessary-type-parameters -- as Nest has them
    override emit<TResult = any, TInput = any>(pattern: any, data: TInput): Observable<TResult> {
      if (isMissing(pattern) || isMissing(data)) return super.emit(pattern, data);
      // Sent at once, whether anybody listens or not.
      const result = new ReplaySubject<TResult>(1);
      try {
        this.callOf(pattern, data, undefined)
          .send()
          .then(
            () => {
              result.next(undefined as TResult);
              result.complete();
            },
            (error: unknown) => result.error(error),
          );
      } catch (error) {
        return throwError(() => error);
      }
      return result.asObservable();
    }

    /** Watches the service. Connections are made when they are needed. @throws NoSnapshotError when no registry answered in time */
    async connect(): Promise<void> {
      if (!this.service.isKnown) await this.service.whenKnown();
    }

    /** Closes all connections, and ends the watch. */
    close(): void {
      this.service.close();
    }

    // oxlint-disable-next-line typescript/no-explicit-any -- as Nest has it
    override on(event: any, callback: any): void {
      this.service.on(event as never, callback as never);
    }

    /** What Nest's clients of the instances that there are connections to give: their sockets. */
    // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as Nest has it
    unwrap<T>(): T {
      return this.service.connections.flatMap(unwrapped) as T;
    }

    protected publish(): () => void {
      throw new Error('messages to a service are sent by send()');
    }

    protected dispatchEvent<T>(): Promise<T> {
      throw new Error('events to a service are sent by emit()');
    }

    private callOf(pattern: unknown, data: unknown, caller: ConstructorParameters<typeof MessageCall>[4]): MessageCall {
      const own = this as unknown as OwnPackets;
      // With Nest 11 there is nobody who would add anything.
      const packet = own.createPacket?.(pattern, data) ?? { pattern, data };
      const route = this.normalizePattern(pattern as string);
      const mayRepeat =
        this.idempotent === true || this.idempotent.has(route) || this.service.options.retry.unsafeMethods;
      return new MessageCall(this.service, packet, route, mayRepeat, caller);
    }
  }
  return ServiceClientProxy;
}

/** Makes a client of a service. */
export type ServiceClientProxyClass = new (options: ServiceClientProxyOptions) => ClientProxy;

function isMissing(value: unknown): boolean {
  return value === undefined || value === null;
}

/** A connection that isn't there yet has nothing to give. */
function unwrapped(client: InstanceClient): readonly unknown[] {
  try {
    return [client.unwrap()];
  } catch {
    return [];
  }
}
