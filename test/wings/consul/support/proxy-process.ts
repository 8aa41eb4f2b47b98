import { createFaultProxy, type FaultProxy } from '../../../servers/fault-proxy.js';

/** What the tests' process asks for. */
export interface ProxyOrder {
  readonly id: number;
  readonly what: 'open' | 'drop' | 'heal' | 'blackhole' | 'reset' | 'counts';
  readonly host?: string;
  readonly port?: number;
  readonly direction?: 'to-server' | 'to-client' | 'both';
  readonly resetHeld?: boolean;
}

let proxy: FaultProxy | undefined;

async function obey(order: ProxyOrder): Promise<unknown> {
  if (order.what === 'open') {
    proxy = await createFaultProxy([{ name: 'http', host: order.host ?? '127.0.0.1', port: order.port ?? 0 }]);
    return proxy.port;
  }
  if (proxy === undefined) throw new Error('the proxy is not open');
  switch (order.what) {
    case 'drop':
      return proxy.drop();
    case 'heal':
      return proxy.heal({ resetHeld: order.resetHeld ?? false });
    case 'blackhole':
      return proxy.blackhole(order.direction);
    case 'reset':
      return proxy.reset();
    case 'counts':
      return { ...proxy.counts };
  }
}

process.on('message', (order: ProxyOrder) => {
  obey(order).then(
    (result) => process.send?.({ id: order.id, result }),
    (error: unknown) => process.send?.({ id: order.id, error: String(error) }),
  );
});
process.once('disconnect', () => process.exit(0));
