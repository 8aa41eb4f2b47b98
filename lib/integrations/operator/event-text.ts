import { durationOf } from '../../backend/index.js';
import { messageOf, printable, type DiscoveryEvent } from '../../model/index.js';
import { withoutCredentials } from './masked.js';

/** How much an event matters to whoever watches. */
export type OperatorEventLevel = 'info' | 'good' | 'warn' | 'bad';

/** An event as it is shown: a line for people, and what it is about. */
export interface OperatorEventText {
  /** That of the {@link DiscoveryEvent}; `calls` for calls that were tried again. */
  readonly type: string;
  readonly level: OperatorEventLevel;
  readonly text: string;
  readonly service?: string;
  readonly backend?: string;
}

/** The longest line that is kept of an event, in characters: texts come from outside. */
const MAX_TEXT = 500;

/** Keys that are named of a change. */
const MAX_KEYS = 5;

/** An event as it is shown; names and messages of it are on one line, and without passwords. */
export function eventText(event: DiscoveryEvent): OperatorEventText {
  const { level, text } = told(event);
  const { service, backend } = event as { readonly service?: string; readonly backend?: string };
  return {
    type: event.type,
    level,
    text: shown(text),
    ...(service === undefined ? {} : { service }),
    ...(backend === undefined ? {} : { backend }),
  };
}

/** A text from outside as it is shown. */
export function shown(text: string): string {
  const safe = printable(withoutCredentials(text));
  return safe.length > MAX_TEXT ? `${safe.slice(0, MAX_TEXT)}…` : safe;
}

type Told = Pick<OperatorEventText, 'level' | 'text'>;

const line = (level: OperatorEventLevel, text: string): Told => ({ level, text });

function told(event: DiscoveryEvent): Told {
  switch (event.type) {
    case 'backend.state': {
      const { phase, error } = event.state;
      if (phase === 'ready') return line('good', `${event.backend} answers`);
      if (phase === 'degraded') return line('bad', `${event.backend} doesn't answer: ${messageOf(error)}`);
      return line('info', `${event.backend} is ${phase}`);
    }
    case 'registration.registered':
      return line('good', `${event.instanceId} is registered at ${event.backend} as ${event.status}`);
    case 'registration.removed':
      return line('info', `${event.instanceId} was taken out of ${event.backend}`);
    case 'registration.absent':
      return line('info', `${event.instanceId} was not registered at ${event.backend}`);
    case 'registration.left':
      return line('warn', `${event.instanceId} could not be taken out of ${event.backend}, and stays until it expires`);
    case 'registration.failed':
      return line('bad', `${event.instanceId} can't be registered at ${event.backend}: ${event.error.message}`);
    case 'instances.changed': {
      const { added, removed, changed } = event.diff;
      const parts = [
        ...added.slice(0, MAX_KEYS).map(({ url }) => `+ ${url}`),
        ...removed.slice(0, MAX_KEYS).map(({ url }) => `− ${url}`),
        ...changed
          .slice(0, MAX_KEYS)
          .map(({ before, after }) =>
            before.status === after.status ? `~ ${after.url}` : `~ ${after.url} ${before.status} → ${after.status}`,
          ),
      ];
      const more = added.length + removed.length + changed.length - parts.length;
      const count = event.snapshot.instances.length;
      const rest = more > 0 ? `, ${more} more` : '';
      return line(
        removed.length > 0 ? 'warn' : 'info',
        `${event.service} has ${count} ${count === 1 ? 'instance' : 'instances'}: ${parts.join(', ')}${rest}`,
      );
    }
    case 'instances.failed':
      return line('bad', `${event.backend} doesn't tell of ${event.service}: ${event.error.message}`);
    case 'instances.recovered':
      return line('good', `${event.backend} tells of ${event.service} again`);
    case 'instance.ejected':
      return line('warn', `${event.url} of ${event.service} is left out for ${durationOf(event.forMs)}`);
    case 'instance.returned':
      return line('good', `${event.url} of ${event.service} takes calls again`);
    case 'record.skipped':
      return line('warn', `a record of ${event.backend} was left out: ${event.record}: ${event.error.message}`);
    case 'health.changed':
      return event.healthy
        ? line('good', 'the app is healthy')
        : line(
            'bad',
            `the app is not healthy: ${event.failing.map((one) => `${one.check}: ${one.reason}`).join('; ')}`,
          );
    case 'readiness.changed':
      if (event.ready) return line('good', 'the app takes traffic');
      return line(event.stopping ? 'info' : 'warn', `the app takes no traffic: ${event.reasons.join('; ')}`);
    case 'config.changed': {
      const { keys } = event;
      const more = keys.length > MAX_KEYS ? ` and ${keys.length - MAX_KEYS} more` : '';
      return line('info', `configuration changed: ${keys.slice(0, MAX_KEYS).join(', ')}${more}`);
    }
    case 'config.rejected':
      return line('bad', `configuration rejected: ${event.document ?? 'as a whole'}: ${event.error.message}`);
    case 'config.failed':
      return line('bad', `${event.backend} doesn't give its configuration: ${event.error.message}`);
    case 'config.recovered':
      return line('good', `${event.backend} gives its configuration again`);
    case 'config.restored':
      return line(
        'warn',
        `${event.backend}: started with the configuration of ${new Date(event.savedAt).toISOString()}`,
      );
    case 'listener.failed':
      return line('bad', `${event.where} threw: ${messageOf(event.error)}`);
  }
}
