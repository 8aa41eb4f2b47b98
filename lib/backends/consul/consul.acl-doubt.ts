import { DiscoveryError } from '../../model/index.js';
import type { DriverHost } from '../../backend/index.js';
import type { AclQuestion } from './client/acl.js';
import type { ConsulClient } from './client/consul-client.js';
import type { ConsulMeta } from './client/meta.js';

/**
 * Whether a blocking answer needs a second look: servers (1.20 was seen) leave out of it that a token may not see what
 * there is.
 */
export function mayHideAll(value: readonly unknown[], meta: ConsulMeta, hasToken: boolean): boolean {
  return value.length === 0 && (hasToken || meta.DefaultACLPolicy !== 'allow');
}

/**
 * Tells "there is nothing" from "the token may not see it": Consul answers both with an empty list. To a request with a
 * token it says that something was left out; an anonymous one must ask what it may.
 */
export class AclDoubt {
  private warned = new Set<string>();

  constructor(
    private readonly host: DriverHost,
    private readonly client: ConsulClient,
  ) {}

  /**
   * Called with the meta of an empty answer.
   *
   * @param what was asked for: `the service ORDERS`
   * @param rights what a token must be allowed, all of it, to see what there is
   * @throws DiscoveryError `BACKEND_REFUSED` when the answer says nothing
   */
  async assertCertain(
    meta: ConsulMeta,
    what: string,
    rights: readonly AclQuestion[],
    signal?: AbortSignal,
  ): Promise<void> {
    const { client, host } = this;
    const hidden = meta.ResultsFilteredByACLs || (this.mayBeAnonymous(meta) && !(await this.mayRead(rights, signal)));
    if (!hidden) return;
    const message = `${host.name} at ${client.address} hides ${what}: ${
      client.hasToken ? 'the token may not read it' : 'a token that may read it is needed'
    }`;
    if (!this.warned.has(what)) host.context.logger.warn(message);
    this.warned.add(what);
    throw new DiscoveryError('BACKEND_REFUSED', message, { backend: host.name, field: 'token' });
  }

  private mayBeAnonymous(meta: ConsulMeta): boolean {
    return meta.DefaultACLPolicy === 'deny' && !this.client.hasToken;
  }

  private async mayRead(rights: readonly AclQuestion[], signal: AbortSignal | undefined): Promise<boolean> {
    try {
      const answers = await this.client.acl.authorize(rights, signal === undefined ? {} : { signal });
      return answers.every(Boolean);
    } catch {
      // Older servers know no such question: then the answer stands as it is.
      return true;
    }
  }
}
