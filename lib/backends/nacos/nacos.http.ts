import type { BackendContext } from '../../backend/index.js';
import { decrypted } from './client/config/cipher.js';
import { HttpCore } from './client/http/core.js';
import { numberAt } from './client/json.js';
import type { NacosInstance } from './client/naming/model.js';
import { environmentOf } from './nacos.grpc.js';
import type { NacosSettings } from './nacos.options.js';
import type { NacosProtocol, ProtocolLease } from './nacos.ports.js';

const PAGE = 500;

/** The drivers' port on the HTTP API. */
export function httpProtocol(settings: NacosSettings, context: BackendContext): NacosProtocol {
  const env = environmentOf(settings, context, settings.logLevel);
  const { client } = settings;
  const core = new HttpCore({
    env,
    settings: client,
    proxies: () => settings.proxies,
    requestTimeoutMs: () => client.requestTimeoutMs,
    pollMs: settings.pollMs,
    pullingTimeoutMs: () => settings.pullingTimeoutMs,
    pullingConfigSize: () => settings.pullingConfigSize,
  });
  const { naming, config } = core;
  return {
    onState: (listener) => {
      core.state.subscribe(({ phase, error }) => {
        if (phase === 'ready') listener({ ready: true });
        else if (phase === 'degraded') listener({ ready: false, ...(error === undefined ? {} : { error }) });
      });
    },
    open: () => {
      core.start();
      return Promise.resolve();
    },
    close: () => core.close(),
    lease: (service, group) => {
      let light = false;
      let asked = 5000;
      const lease: ProtocolLease = {
        register: (instance, signal) => {
          light = false;
          asked = numberAt(instance.metadata, 'preserved.heart.beat.interval') ?? 5000;
          return naming.register({ service, group, instance, signal });
        },
        deregister: (instance, signal) => naming.deregister({ service, group, instance, signal }),
        ...(settings.ephemeral
          ? {
              beat: {
                everyMs: () => settings.beatMs ?? asked,
                renew: async (instance: NacosInstance, signal: AbortSignal) => {
                  const answer = await naming.beat({ service, group, instance, signal }, light);
                  asked = answer.intervalMs;
                  light = answer.light;
                  return answer.known ? ('renewed' as const) : ('forgotten' as const);
                },
              },
            }
          : {}),
        // Each request has a connection of its own, and its error says how far it came.
        wasConnected: () => true,
        drop: () => {},
        onForgotten: () => () => {},
      };
      return lease;
    },
    observe: (service, group, observer) => core.subscriptions.subscribe(service, group, observer),
    listServices: async (group, signal) => {
      const names: string[] = [];
      for (let pageNo = 1; ; pageNo += 1) {
        const page = await naming.listServices(group, pageNo, PAGE, signal);
        names.push(...page.services);
        if (page.services.length < PAGE || names.length >= page.count) return names;
      }
    },
    console: naming,
    query: (address, signal) => config.query(address, signal === undefined ? {} : { signal }),
    publish: (param, signal) =>
      config.publish(
        param,
        { dataId: param.dataId, group: param.group ?? 'DEFAULT_GROUP', tenant: client.namespaces.config },
        signal === undefined ? {} : { signal },
      ),
    remove: (address, signal) => config.remove(address, signal === undefined ? {} : { signal }),
    observeConfig: (address, observer) => core.items.observe(address, observer),
    listConfig: (signal) => core.archive.list(client.namespaces.config, signal),
    configChanges: (address, signal) => core.archive.changes(address, signal),
    readable: (address, item) => decrypted(client.configFilter, address, item),
  };
}
