import { describe, expect, it } from 'vitest';
import { node, service, silence } from './support.js';

describe.each([{ transport: 'undici' } as const, { transport: 'axios' } as const])(
  'URLs that name no service, through $transport',
  (transport) => {
    it('have the time-outs that services have', async () => {
      const silent = await node(silence);
      for (const http of [{ timeoutMs: 100 }, { totalTimeoutMs: 100 }]) {
        const { runtime } = await service([], { ...transport, http });
        const { axiosRef } = runtime.unboundClient();
        const free = runtime.clientFor('free', 'STOCK', { allowAbsoluteUrls: true }).axiosRef;
        const late = { code: 'ECONNABORTED', message: 'timeout of 100ms exceeded' };
        await expect(axiosRef.get(silent.url)).rejects.toMatchObject(late);
        await expect(axiosRef.get('/x', { baseURL: silent.url })).rejects.toMatchObject(late);
        await expect(free.get(silent.url)).rejects.toMatchObject(late);
        await expect(axiosRef.get(silent.url, { timeout: 50 })).rejects.toMatchObject({
          message: 'timeout of 50ms exceeded',
        });
      }
    });

    it('have one of 10 s by default', async () => {
      const { runtime } = await service([], transport);
      const sent: unknown[] = [];
      runtime.transport.send = async (config, destination) => {
        sent.push(destination?.timeoutMs);
        return { config, data: '', status: 200, statusText: 'OK', headers: {} };
      };
      await runtime.unboundClient().axiosRef.get('http://silent/');
      await runtime
        .clientFor('free', 'STOCK', { allowAbsoluteUrls: true, timeoutMs: 5 })
        .axiosRef.get('http://silent/');
      expect(sent).toEqual([10_000, 5]);
    });
  },
);
