import { afterEach, expect, it, vi } from 'vitest';
import { httpServer, openPath } from './support.js';

/** As in Bun: the name is there, the client isn't. */
vi.mock('undici', () => ({ Client: class {}, buildConnector: () => () => {} }));

afterEach(() => void vi.restoreAllMocks());

it.each(['adapter', 'direct'] as const)(
  'without undici calls by %s go through axios, and it is said once',
  async (name) => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const server = await httpServer((_, response) => response.end('"answered"'));
    const path = openPath(name);
    for (let i = 0; i < 2; i += 1) expect((await path.request({ url: server.url })).data).toBe('answered');
    expect(warn).toHaveBeenCalledTimes(1);
    await Promise.all([path.close(), server.close()]);
  },
);
