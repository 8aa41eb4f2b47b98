import { expect, it } from 'vitest';
import { withServer } from '../../servers/for-tests.js';
import { bytes, fresh, Opened, text } from './support.js';

withServer('nats', {}, (server) => {
  const opened = new Opened();

  it('close() sends what was published, and finishes the requests that are under way', async () => {
    const listening = await opened.connection(server.url);
    const client = await opened.client(server.url);
    const name = fresh('svc');
    const service = await client.startService({ name, version: '1.0.0' });
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let taken = false;
    await service.addGroup(name).addEndpoint('slow', async (request) => {
      taken = true;
      await held;
      request.respond('done');
    });
    const subject = fresh('subject');
    let received = 0;
    listening.subscribe(subject, { callback: () => void (received += 1) });
    await listening.flush();
    const answer = listening.request(`${name}.slow`, bytes(''), { timeout: 10_000 });
    await expect.poll(() => taken).toBe(true);

    for (let i = 0; i < 5000; i += 1) client.connection.publish(subject, bytes('x'.repeat(200)));
    const closed = client.close();
    release();
    await closed;

    expect(text((await answer).data)).toBe('done');
    await expect.poll(() => received).toBe(5000);
    expect(() => client.connection).toThrow(expect.objectContaining({ code: 'BACKEND_CLOSED' }));
  });
});
