import { it } from 'vitest';
import { createRegistration } from '../../../lib/model/index.js';
import { freshName, freshPort } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { Opened, until } from './support.js';

withServer('zookeeper', {}, (server) => {
  const opened = new Opened();

  it('however often a node can’t be written, the next try comes as soon as a session shows that it lives', async () => {
    const path = freshName('retries');
    const obstacle = await opened.client(server.url);
    // No node can lie below one that is ephemeral.
    await obstacle.create(`/${path}/run`, Buffer.from(''), { mode: 'ephemeral' });
    // The longest of the delays that may be drawn.
    const test = await opened.asab(server.url, { path }, { sessionTimeoutMs: 2000 }, { random: () => 0.999 });
    const lease = test.backend.registry.register(
      createRegistration({ service: 'stuck', host: '127.0.0.1', port: freshPort() }),
    );
    const failures = (): number => test.events.filter(({ type }) => type === 'registration.failed').length;
    await until(() => failures() >= 6, 'it was tried and tried');
    const before = failures();
    // Delays that had grown on would be more than 6 s each by now: this many would take longer than the test may.
    await until(() => failures() >= before + 12, 'and again', 50_000);
    await obstacle.remove(`/${path}/run`);
    await lease.registered;
  });
});
