import { withLevel, type BackendContext, type LogLevel } from '../../backend/index.js';
import { DiscoveryError } from '../../model/index.js';
import { partsIn } from './client/client-parts.js';
import { NacosConfigService } from './client/config/config-service.js';
import type { Environment } from './client/environment.js';
import { NacosNamingService } from './client/naming/naming-service.js';
import type { NacosSettings } from './nacos.options.js';
import type { NacosProtocol, ProtocolLease } from './nacos.ports.js';

/** The environment that an app's context gives. */
export function environmentOf(settings: NacosSettings, context: BackendContext, level?: LogLevel): Environment {
  return {
    backend: settings.name,
    clock: context.clock,
    logger: level === undefined ? context.logger : withLevel(context.logger, level),
    random: () => context.random(),
    report: (event) => context.report(event),
  };
}

const PAGE = 500;

/** The drivers' port on one gRPC connection. */
export function grpcProtocol(settings: NacosSettings, context: BackendContext): NacosProtocol {
  const env = environmentOf(settings, context, settings.logLevel);
  const parts = partsIn(env, settings.client);
  const { rpc } = parts;
  const config = new NacosConfigService(parts);
  const naming = new NacosNamingService(parts);
  const forgotten = new Set<() => void>();
  rpc.onConnected(() => {
    for (const listener of forgotten) listener();
  });
  return {
    onState: (listener) => {
      rpc.state.subscribe(({ phase, error }) => {
        if (phase === 'ready') listener({ ready: true });
        else if (phase === 'degraded') listener({ ready: false, ...(error === undefined ? {} : { error }) });
      });
    },
    open: async () => {
      await rpc.start();
      naming.start();
      config.start();
    },
    close: async () => {
      await Promise.all([naming.close(), config.close()]);
      await parts.close();
    },
    lease: (service, group) => {
      const lease: ProtocolLease = {
        register: (instance, signal) =>
          instance.ephemeral
            ? naming.publications.set(service, group, instance, signal)
            : naming.registerInstance({ ...instance, serviceName: service, groupName: group }, signal),
        deregister: async (instance, signal) => {
          if (!instance.ephemeral) {
            return naming.deregisterInstance({ ...instance, serviceName: service, groupName: group }, signal);
          }
          await naming.publications.remove(service, group, [instance], signal);
          // There may have been nothing to send, but without a server nobody confirms that nothing is there.
          if (await rpc.untilConnected(settings.client.requestTimeoutMs, signal)) return;
          throw new DiscoveryError('BACKEND_UNAVAILABLE', `${settings.name} can't be reached`, {
            backend: settings.name,
          });
        },
        wasConnected: () => rpc.epoch > 0,
        drop: (instance) => naming.publications.drop(service, group, [instance]),
        onForgotten: (listener) => {
          // What doesn't live with the connection is still there.
          if (!settings.ephemeral) return () => {};
          forgotten.add(listener);
          return () => void forgotten.delete(listener);
        },
      };
      return lease;
    },
    observe: (service, group, observer) => naming.observe(service, group, observer),
    listServices: async (group, signal) => {
      const names: string[] = [];
      for (let pageNo = 1; ; pageNo += 1) {
        const page = await naming.listServices({ groupName: group, pageNo, pageSize: PAGE }, signal);
        names.push(...page.services);
        if (page.services.length < PAGE || names.length >= page.count) return names;
      }
    },
    console: parts.console,
    query: (address, signal) => config.query(address, signal === undefined ? {} : { signal }),
    publish: async (param, signal) => void (await config.publishStored(param, signal === undefined ? {} : { signal })),
    remove: async ({ dataId, group }, signal) =>
      void (await config.removeConfig({ dataId, group }, signal === undefined ? {} : { signal })),
    observeConfig: (address, observer) => config.observe(address, observer),
    listConfig: (signal) => parts.archive.list(settings.client.namespaces.config, signal),
    configChanges: (address, signal) => parts.archive.changes(address, signal),
    readable: (address, item) => config.readable(address, item),
  };
}
