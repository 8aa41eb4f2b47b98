import { Reporter, type BackendContext, type DiscoveryReport, type Watch } from '../../backend/index.js';
import { keepIdentity, type DiscoveryError, type ServiceInstance } from '../../model/index.js';
import { closedError } from './client/zookeeper-client.js';

/** Options of an {@link InstanceWatch}. */
export interface InstanceWatchOptions {
  readonly context: BackendContext;
  readonly backend: string;
  readonly service: string;
  readonly report: (report: DiscoveryReport) => void;
  /** Reads the registry again; {@link InstanceWatch.show} is called before it resolves. */
  readonly refresh: () => Promise<void>;
  readonly onClosed: () => Promise<void>;
}

/** One watcher of one service. */
export class InstanceWatch implements Watch {
  private readonly reporter: Reporter<DiscoveryReport>;
  private last: readonly ServiceInstance[] = [];
  private sent: Promise<void> = Promise.resolve();
  private closing: Promise<void> | undefined;

  constructor(private readonly options: InstanceWatchOptions) {
    const { context, backend, service, report } = options;
    this.reporter = new Reporter(report, (error) =>
      context.report({ type: 'listener.failed', where: `the watch of ${service} on ${backend}`, error }),
    );
  }

  /** Reports a list. */
  show(instances: readonly ServiceInstance[]): void {
    this.last = keepIdentity(this.last, instances);
    this.sent = this.reporter.send({ instances: this.last });
  }

  /** Reports that the registry can't be asked. */
  fail(error: DiscoveryError): void {
    this.sent = this.reporter.send({ error });
  }

  async refresh(): Promise<void> {
    if (this.closing !== undefined) throw this.closedError();
    try {
      await this.options.refresh();
    } finally {
      await this.sent;
    }
    if (this.closing !== undefined) throw this.closedError();
  }

  close(): Promise<void> {
    this.reporter.close();
    this.closing ??= this.options.onClosed();
    return this.closing;
  }

  private closedError(): DiscoveryError {
    return closedError(this.options.backend, `the watch of ${this.options.service}`);
  }
}
