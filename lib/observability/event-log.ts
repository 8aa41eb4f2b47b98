import { messageOf, type DiscoveryEvent } from '../model/index.js';
import type { Logger } from '../backend/index.js';

/**
 * Writes events to a log: what an operator needs to know once. An error that repeats itself for the same thing is
 * written when it first comes and when it is over, not every time.
 */
export class EventLog {
  private readonly failing = new Map<string, string>();

  constructor(private readonly logger: Logger) {}

  /** Writes one event, unless it only repeats the last one about the same thing. */
  write(event: DiscoveryEvent): void {
    switch (event.type) {
      case 'backend.state': {
        const { phase, error } = event.state;
        if (phase === 'degraded') this.failed(`backend ${event.backend}`, messageOf(error));
        else if (phase === 'ready') this.recovered(`backend ${event.backend}`, 'answers');
        break;
      }
      case 'registration.registered':
        this.failing.delete(`registration ${event.backend} ${event.instanceId}`);
        this.logger.log(`${event.instanceId} is registered at ${event.backend} as ${event.status}`);
        break;
      case 'registration.removed':
        this.logger.log(`${event.instanceId} was taken out of ${event.backend}`);
        break;
      case 'registration.left':
        this.logger.warn(
          `${event.instanceId} could not be taken out of ${event.backend}; it disappears when its lease ends`,
        );
        break;
      case 'registration.failed':
        this.failed(`registration ${event.backend} ${event.instanceId}`, event.error.message);
        break;
      case 'instances.changed': {
        const { added, removed, changed } = event.diff;
        this.failing.delete(`instances ${event.service}`);
        this.logger.debug(
          `${event.service}: ${event.snapshot.instances.length} instances (+${added.length} -${removed.length} ~${changed.length})`,
        );
        break;
      }
      case 'instances.failed':
        this.failed(`instances ${event.service} ${event.backend}`, event.error.message);
        break;
      case 'record.skipped':
        this.failed(`record ${event.backend} ${event.record}`, `left out: ${event.error.message}`);
        break;
      case 'config.changed':
        this.logger.log(`configuration changed: ${shortList(event.keys)}`);
        break;
      case 'config.rejected':
        this.logger.error(`configuration rejected, the values before stay: ${event.error.message}`);
        break;
      case 'listener.failed':
        this.logger.error(`${event.where} threw: ${messageOf(event.error)}`);
        break;
    }
  }

  private failed(what: string, message: string): void {
    if (this.failing.get(what) === message) return;
    // Bounded: names come from outside.
    if (this.failing.size >= 1000) this.failing.clear();
    this.failing.set(what, message);
    this.logger.warn(`${what}: ${message}`);
  }

  private recovered(what: string, message: string): void {
    if (this.failing.delete(what)) this.logger.log(`${what} ${message} again`);
  }
}

function shortList(keys: readonly string[]): string {
  return keys.length <= 10 ? keys.join(', ') : `${keys.slice(0, 10).join(', ')} and ${keys.length - 10} more`;
}
