import type { Logger } from '../../backend/index.js';
import type { AppRegistration } from '../../nest/index.js';
import type { EventFeed } from './event-feed.js';
import type { OperatorState } from './operator-state.js';
import type { ResolvedOperatorOptions } from './operator.options.js';

/** What the routes answer with; one for each app. */
export class OperatorParts {
  constructor(
    readonly options: ResolvedOperatorOptions,
    readonly state: OperatorState,
    readonly feed: EventFeed,
    readonly registration: AppRegistration,
    readonly logger: Logger,
  ) {}
}
