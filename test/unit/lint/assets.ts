import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const folder = fileURLToPath(new URL('../../../lib/integrations/operator/page/', import.meta.url));
const read = (file: string): string => readFileSync(folder + file, 'utf8');

/** The parts of the page's script, each after those that it imports. */
const PARTS = ['dom', 'words', 'ask', 'state', 'glance', 'services', 'routes', 'events', 'configuration', 'main'];

/**
 * What the page is served from. Its files are compiled in, as there is no one way in which ES modules and CommonJS both could find a
 * file that lies beside them; its script's parts become one, by leaving out that they import each other.
 */
export function assets(): Readonly<Record<string, string>> {
  const script = PARTS.map((part) =>
    read(`script/${part}.js`)
      .replaceAll(/^import \{[^}]*\} from '\.\/[a-z]+\.js';\n/gm, '')
      .replaceAll(/^export /gm, ''),
  );
  return {
    PAGE_HTML: read('page.html'),
    PAGE_SCRIPT: `'use strict';\n(() => {\n${script.join('\n')}})();\n`,
    PAGE_STYLE: read('page.css'),
    PAGE_ICON: read('page.svg'),
  };
}

// `npm run assets` writes the module; the test only compares.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const lines = Object.entries(assets()).map(
    ([name, text]) => `export const ${name}: string = ${JSON.stringify(text)};\n`,
  );
  const head = '// Made of the files beside it by `npm run assets`: change those.\n\n';
  writeFileSync(`${folder}page.asset.ts`, `${head}${lines.join('\n')}`);
}
