import { messageOf, type DiscoveryEvent } from '../model/index.js';
import { singleLine, systemClock, type Clock, type Logger } from '../backend/index.js';
import { OpenTroubles } from './open-troubles.js';

/**
 * Writes events to a log: what an operator needs to know once. An error that repeats itself for the same thing is written
 * when it first comes, and when it is over. Names and messages come from outside: each line is one line.
 */
export class EventLog {
  private readonly troubles: OpenTroubles;
  /** Apart from the others: whoever writes bad records must not keep an outage from being told. */
  private readonly badRecords: OpenTroubles;

  private readonly logger: Logger;

  constructor(logger: Logger, clock: Clock = systemClock) {
    this.logger = singleLine(logger);
    this.troubles = new OpenTroubles(clock);
    this.badRecords = new OpenTroubles(clock);
  }

  /** Writes one event, unless it only repeats what was written about the same thing. */
  write(event: DiscoveryEvent): void {
    switch (event.type) {
      case 'backend.state': {
        const { phase, error } = event.state;
        const what = `backend ${event.backend}`;
        if (phase === 'degraded') this.failed(what, messageOf(error));
        else if (phase === 'ready') this.recovered(what);
        break;
      }
      case 'registration.registered': {
        const again = this.troubles.end(registrationOf(event)) ? ' again' : '';
        this.log(`${event.instanceId} is${again} registered at ${event.backend} as ${event.status}`);
        break;
      }
      case 'registration.removed':
        this.troubles.end(registrationOf(event));
        this.log(`${event.instanceId} was taken out of ${event.backend}`);
        break;
      case 'registration.left':
        this.troubles.end(registrationOf(event));
        this.warn(`${event.instanceId} could not be taken out of ${event.backend}; it disappears when its lease ends`);
        break;
      case 'registration.failed':
        this.failed(registrationOf(event), event.error.message);
        break;
      case 'instances.changed': {
        const { added, removed, changed } = event.diff;
        const count = event.snapshot.instances.length;
        this.logger.debug(
          `${event.service}: ${count} instances (+${added.length} -${removed.length} ~${changed.length})`,
        );
        break;
      }
      case 'instances.failed':
        this.failed(`instances ${event.service} ${event.backend}`, event.error.message);
        break;
      case 'instances.recovered':
        this.recovered(`instances ${event.service} ${event.backend}`);
        break;
      case 'record.skipped':
        this.failed(`record ${event.backend} ${event.record}`, `left out: ${event.error.message}`, this.badRecords);
        break;
      case 'health.changed': {
        const why = event.failing.map(({ check, reason }) => `${check}: ${reason}`).join('; ');
        if (event.healthy) this.log('the app is healthy again');
        else this.warn(`the app is not healthy: ${why}`);
        break;
      }
      case 'readiness.changed':
        if (event.ready) this.log('the app is ready for traffic');
        else if (event.stopping) this.log('the app takes no more traffic: it is shutting down');
        else this.warn(`the app takes no traffic: ${event.reasons.join('; ')}`);
        break;
      case 'config.changed':
        this.log(`configuration changed: ${shortList(event.keys)}`);
        break;
      case 'config.rejected':
        this.error(`configuration rejected, the values before stay: ${event.error.message}`);
        break;
      case 'listener.failed':
        this.error(`${event.where} threw: ${messageOf(event.error)}`);
        break;
    }
  }

  private failed(what: string, reason: string, troubles = this.troubles): void {
    const news = troubles.begin(what, reason);
    if (news === 'told') return;
    this.warn(news === 'too-many' ? `${what} and more fail: too many to tell of each` : `${what}: ${reason}`);
  }

  private recovered(what: string): void {
    if (this.troubles.end(what)) this.log(`${what} answers again`);
  }

  private log(line: string): void {
    this.logger.log(line);
  }

  private warn(line: string): void {
    this.logger.warn(line);
  }

  private error(line: string): void {
    this.logger.error(line);
  }
}

function registrationOf(event: { readonly backend: string; readonly instanceId: string }): string {
  return `registration ${event.backend} ${event.instanceId}`;
}

function shortList(keys: readonly string[]): string {
  return keys.length <= 10 ? keys.join(', ') : `${keys.slice(0, 10).join(', ')} and ${keys.length - 10} more`;
}
