import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { withServer } from '../../servers/for-tests.js';
import { Opened, text } from './support.js';

withServer('nats', {}, (server) => {
  const opened = new Opened();

  it('what is sent again is asked about under the reply subjects that the account may use', async () => {
    const proxy = await server.proxy();
    opened.closing(() => proxy.close());
    const offering = await opened.connection(proxy.url);
    const calling = await opened.connection(server.url);
    const subjects: string[] = [];
    const watched = new Proxy(offering, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        if (key !== 'subscribe') return value.bind(target) as unknown;
        return (subject: string, options: object) => {
          subjects.push(subject);
          return target.subscribe(subject, options);
        };
      },
    });
    const service = await opened.service(watched, { inboxPrefix: '_MY' });
    let release = (): void => {};
    const cut = new Promise<void>((resolve) => (release = resolve));
    let taken = false;
    await service.addGroup(service.name).addEndpoint('slow', async (request) => {
      taken = true;
      await cut;
      request.respond('done');
    });
    const answer = calling.request(`${service.name}.slow`, '', { timeout: 10_000 });
    await expect.poll(() => taken).toBe(true);
    await proxy.drop();
    release();
    await delay(100);
    await proxy.heal();
    expect(text((await answer).data)).toBe('done');
    expect(subjects.filter((subject) => subject.startsWith('_'))).toEqual([expect.stringMatching(/^_MY\.\w{22}\.\*$/)]);
  });
});
