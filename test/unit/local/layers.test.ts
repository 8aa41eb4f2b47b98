import { digestOf, formatByExtension, textDocument } from '../../../lib/backend/index.js';
import { describe, expect, it } from 'vitest';
import {
  assertFileId,
  isIgnoredFile,
  isLayerFile,
  layersOf,
  type ConfigFile,
} from '../../../lib/backends/local/local.layers.js';

function files(...ids: readonly string[]): readonly ConfigFile[] {
  return ids.map((id) => fileOf(id, ` ${id} \n`));
}

function fileOf(id: string, text: string): ConfigFile {
  const format = formatByExtension(id) ?? 'text';
  return { format, document: textDocument(id, digestOf(text), format, text) };
}

describe('layers of an application', () => {
  it('come in their order, whatever order the folder has', () => {
    const all = files(
      'orders-prod.yaml',
      'zone',
      'orders.properties',
      'orders.yaml',
      'application-prod.json',
      'application.yml',
      'application.yaml',
      'db.url',
      'stock.yaml',
      'orders-test.yaml',
    );
    const layers = layersOf([...all].reverse(), 'orders', ['prod']);
    expect(layers.map((layer) => layer.id)).toEqual([
      'application.yaml',
      'application.yml',
      'application-prod.json',
      'plain files',
      'orders.yaml',
      'orders.properties',
      'orders-prod.yaml',
    ]);
    expect(layers[3]?.content).toEqual({ format: 'entries', entries: { 'db.url': 'db.url', zone: 'zone' } });
    for (const layer of layers.filter((one) => one.id !== 'plain files')) {
      expect(isLayerFile(layer.id, 'orders', ['prod'])).toBe(true);
    }
    expect(isLayerFile('stock.yaml', 'orders', ['prod'])).toBe(false);
    expect(isLayerFile('orders-test.yaml', 'orders', ['prod'])).toBe(false);
  });

  it('of an application that is called application are there once', () => {
    expect(layersOf(files('application.yaml'), 'application', []).map((layer) => layer.id)).toEqual([
      'application.yaml',
    ]);
  });

  it('follow the order of the profiles', () => {
    const layers = layersOf(files('a-x.yaml', 'a-y.yaml'), 'a', ['y', 'x', 'y']);
    expect(layers.map((layer) => layer.id)).toEqual(['a-y.yaml', 'a-x.yaml']);
  });

  it("tell a change of a plain file by the document's revision, and keep reserved words out", () => {
    const [before] = layersOf(files('a', '__proto__'), 'x', []);
    const [after] = layersOf([fileOf('a', 'new')], 'x', []);
    expect(before?.content).toEqual({ format: 'entries', entries: { a: 'a' } });
    expect(after?.revision).not.toBe(before?.revision);
  });
});

describe('names of configuration files', () => {
  it.each([
    '.hidden',
    '..data',
    'a.yaml~',
    '.a.yaml.swp',
    '#a.yaml#',
    '4913',
    'a.yaml.tmp',
    'a.yaml___jb_tmp___',
    'a.bak',
  ])('%s is ignored, and refused as a name', (name) => {
    expect(isIgnoredFile(name)).toBe(true);
    expect(() => assertFileId(name)).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
  });

  it.each(['application.yaml', 'db.url', 'port', 'a-1.json', '8080'.slice(0, 3)])('%s is a file like any', (name) => {
    expect(isIgnoredFile(name)).toBe(false);
    expect(() => assertFileId(name)).not.toThrow();
  });
});
