import { messageOf, type BackendState, type DiscoveryError, type DiscoveryEvent } from '../model/index.js';
import { durationOf, singleLine, systemClock, type Clock, type Logger } from '../backend/index.js';
import { OpenTroubles, type PastTrouble } from './open-troubles.js';
import { kindOf, Outages } from './outages.js';

/**
 * Writes events to a log: what an operator needs to know once. An outage is a line when it begins, which says what goes on
 * meanwhile, and one when it is over; what else fails for the same cause has no line of its own. A failure that repeats
 * itself for the same thing, in whatever words, is written when it first comes, and when it is over. Names and messages
 * come from outside: each line is one line.
 */
export class EventLog {
  private readonly troubles: OpenTroubles;
  /** Apart from the others: whoever writes bad records must not keep an outage from being told. */
  private readonly badRecords: OpenTroubles;
  private readonly outages = new Outages();

  private readonly logger: Logger;

  constructor(
    logger: Logger,
    private readonly clock: Clock = systemClock,
  ) {
    this.logger = singleLine(logger);
    this.troubles = new OpenTroubles(clock);
    this.badRecords = new OpenTroubles(clock);
  }

  /** Writes one event, unless it only repeats what was written about the same thing. */
  write(event: DiscoveryEvent): void {
    switch (event.type) {
      case 'backend.state':
        this.writeState(event.backend, event.state);
        break;
      case 'registration.registered': {
        const past = this.troubles.end(registrationOf(event));
        const again = past === undefined ? '' : ' again';
        this.log(`${event.instanceId} is${again} registered at ${event.backend} as ${event.status}${after(past)}`);
        break;
      }
      case 'registration.removed':
        this.troubles.end(registrationOf(event));
        this.log(`${event.instanceId} was taken out of ${event.backend}`);
        break;
      case 'registration.absent':
        this.troubles.end(registrationOf(event));
        this.log(`${event.instanceId} is not registered at ${event.backend}: there was nothing to take out`);
        break;
      case 'registration.left': {
        this.troubles.end(registrationOf(event));
        const why = event.error === undefined ? '' : ` (${event.error.message})`;
        this.warn(
          `${event.instanceId} could not be taken out of ${event.backend}${why}; it stays there until its lease ends`,
        );
        break;
      }
      case 'registration.failed':
        this.failed(registrationOf(event), event, 'it is tried again');
        break;
      case 'instances.changed': {
        const { added, removed, changed } = event.diff;
        const count = event.snapshot.instances.length;
        this.logger.debug(
          `${event.service}: ${count} instances (+${added.length} -${removed.length} ~${changed.length})`,
        );
        break;
      }
      case 'instance.ejected':
        this.logger.debug(`${event.service}: ${event.url} is left out for ${durationOf(event.forMs)}`);
        break;
      case 'instance.returned':
        this.logger.debug(`${event.service}: ${event.url} takes calls again`);
        break;
      case 'instances.failed':
        this.failed(instancesOf(event), event, 'those that are known stay in use, and it is tried again');
        break;
      case 'instances.recovered':
        this.recovered(instancesOf(event));
        break;
      case 'record.skipped':
        this.leftOut(`record ${event.backend} ${event.record}`, `left out: ${event.error.message}`);
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
      case 'config.failed': {
        const meanwhile = 'the values that are known stay in force, and it is tried again';
        this.failed(configurationOf(event), event, meanwhile);
        break;
      }
      case 'config.recovered':
        this.recovered(configurationOf(event));
        break;
      case 'config.restored': {
        const { backend, savedAt } = event;
        const age = durationOf(Math.max(0, this.clock.now() - savedAt));
        const at = new Date(savedAt).toISOString();
        this.warn(`configuration ${backend}: started with the snapshot of ${at}, ${age} old`);
        break;
      }
      case 'config.rejected': {
        const { document, kept, error } = event;
        if (document === undefined) this.error(`configuration rejected, the values before stay: ${error.message}`);
        else if (kept === undefined) this.error(`${document} is left out until it can be read: ${error.message}`);
        else this.error(`${document} keeps its last good version (revision ${kept}): ${error.message}`);
        break;
      }
      case 'listener.failed':
        this.error(`${event.where} threw: ${messageOf(event.error)}`);
        break;
    }
  }

  private writeState(backend: string, { phase, error }: BackendState): void {
    const what = `backend ${backend}`;
    if (phase === 'degraded') {
      const news = this.troubles.begin(what, kindOf(error)) !== 'told';
      if (news) {
        this.outages.begin(backend, error);
        this.warn(
          `${what}: ${messageOf(error)}; what is known of it stays in use, and it is tried again until it answers`,
        );
      }
      return;
    }
    if (phase === 'connecting') return;
    this.outages.end(backend);
    if (phase === 'ready') this.recovered(what);
    else this.troubles.end(what);
  }

  /** @param meanwhile what goes on, and what is done about it */
  private failed(what: string, { backend, error }: Failure, meanwhile: string): void {
    if (this.outages.explains(backend, error)) return this.troubles.beginSilently(what);
    const news = this.troubles.begin(what, kindOf(error));
    if (news === 'told') return;
    this.outages.tell(backend, error);
    this.warn(news === 'too-many' ? tooMany(what) : `${what}: ${error.message}; ${meanwhile}`);
  }

  private leftOut(what: string, reason: string): void {
    const news = this.badRecords.begin(what, reason);
    if (news === 'told') return;
    this.warn(news === 'too-many' ? tooMany(what) : `${what}: ${reason}`);
  }

  private recovered(what: string): void {
    const past = this.troubles.end(what);
    if (past?.told === true) this.log(`${what} answers again${after(past)}`);
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

interface Failure {
  readonly backend: string;
  readonly error: DiscoveryError;
}

function registrationOf(event: { readonly backend: string; readonly instanceId: string }): string {
  return `registration ${event.backend} ${event.instanceId}`;
}

function instancesOf(event: { readonly backend: string; readonly service: string }): string {
  return `instances ${event.service} ${event.backend}`;
}

function tooMany(what: string): string {
  return `${what} and more fail: too many to tell of each`;
}

function configurationOf({ backend }: { readonly backend: string }): string {
  return `configuration ${backend}`;
}

/** How long it was so, for people. */
function after(past: PastTrouble | undefined): string {
  return past === undefined ? '' : `, after ${durationOf(past.lastedMs)}`;
}

function shortList(keys: readonly string[]): string {
  return keys.length <= 10 ? keys.join(', ') : `${keys.slice(0, 10).join(', ')} and ${keys.length - 10} more`;
}
