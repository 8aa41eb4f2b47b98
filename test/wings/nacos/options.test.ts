import { expect, it } from 'vitest';
import { nacos, NacosClient, NacosHttpClient, type NacosClientOptions } from '../../../lib/backends/nacos/index.js';
import type { ConfigDocument } from '../../../lib/model/index.js';
import { createContext } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { Closing, freshName, optionsFor, stays, until } from './support.js';

withServer('nacos', { variant: 'open' }, (server) => {
  const closing = new Closing();
  const open = async (more: Partial<NacosClientOptions> = {}): Promise<NacosClient> => {
    const client = closing.add(new NacosClient({ ...optionsFor(server), ...more }));
    await client.start();
    return client;
  };

  it('emptyPushProtection: the last instances stay in the list when all have gone', async () => {
    const [writer, careful, trusting] = [await open(), await open({ emptyPushProtection: true }), await open()];
    const instance = { serviceName: freshName('protected'), ip: '1.1.1.1', port: 1 };
    const heard: Record<'careful' | 'trusting', number[]> = { careful: [], trusting: [] };
    for (const [name, client] of Object.entries({ careful, trusting })) {
      await client.naming.subscribe({
        serviceName: instance.serviceName,
        listener: (list) => void heard[name === 'careful' ? 'careful' : 'trusting'].push(list.length),
      });
    }
    await writer.naming.registerInstance(instance);
    await until(() => heard.careful.length === 1 && heard.trusting.length === 1, 'both hear of it');
    await writer.naming.deregisterInstance(instance);
    await until(() => heard.trusting.at(-1) === 0, 'one hears that it has gone');
    await stays(() => heard.careful.length === 1, 'the other one keeps it', 800);
    expect(await careful.naming.listInstances({ serviceName: instance.serviceName })).toHaveLength(1);
    await writer.naming.registerInstance({ ...instance, port: 2 });
    await until(async () => {
      const list = await careful.naming.listInstances({ serviceName: instance.serviceName });
      return list.length === 1 && list[0]?.port === 2;
    }, 'and hears of the next one');
  });

  it('a user and a password are no hindrance where nobody is asked for them', async () => {
    const login = { username: 'somebody', password: 'something' };
    const client = await open(login);
    expect(await client.config.getConfig({ dataId: freshName('none') })).toBeUndefined();
    const http = closing.add(new NacosHttpClient({ ...optionsFor(server), ...login }));
    expect(await http.getConfig(freshName('none'))).toBeUndefined();
  });

  it('the documents of an application: shared ones, extensions, its own, the strongest last', async () => {
    const writer = await open();
    const [application, group] = [freshName('shop'), freshName('G')];
    const [shared, extension] = [
      { dataId: freshName('shared.json') },
      { dataId: freshName('ext.toml'), group: 'OTHER' },
    ];
    const backend = nacos({
      ...optionsFor(server),
      config: { group, shared: [shared], extensions: [extension] },
    }).create(createContext([]));
    closing.add(backend);
    await backend.open();
    const publish = (dataId: string, where: string, content: string, type: 'yaml' | 'json' | 'toml'): Promise<true> =>
      writer.config.publishConfig({ dataId, group: where, content, type });
    await publish(`application.yaml`, group, 'a: 1', 'yaml');
    await publish(shared.dataId, group, '{"a":2}', 'json');
    await publish(extension.dataId, extension.group, 'a = 3', 'toml');
    await publish(application, group, 'a: 4', 'yaml');
    await publish(`${application}.yaml`, group, 'a: 5', 'yaml');
    await publish(`${application}-dev.yaml`, group, 'a: 6', 'yaml');
    let documents: readonly ConfigDocument[] = [];
    const watch = backend.config?.watch({ kind: 'application', application, profiles: ['dev'] }, (report) => {
      if (report.documents !== undefined) ({ documents } = report);
    });
    await until(() => documents.length === 6, 'all are reported');
    expect(documents.map(({ id, content }) => `${id} ${'text' in content ? content.text : ''}`)).toEqual([
      'application.yaml a: 1',
      `${shared.dataId} {"a":2}`,
      `${extension.group}/${extension.dataId} a = 3`,
      `${application} a: 4`,
      `${application}.yaml a: 5`,
      `${application}-dev.yaml a: 6`,
    ]);
    expect(documents.map(({ content }) => ('format' in content ? content.format : undefined))).toEqual([
      'yaml',
      'json',
      'toml',
      'yaml',
      'yaml',
      'yaml',
    ]);
    await writer.config.removeConfig({ dataId: shared.dataId, group });
    await until(() => documents.length === 5, 'a removal is heard');
    await watch?.close();
  });
});
