import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const lib = fileURLToPath(new URL('../../../lib/', import.meta.url));

it('every error of ours says its name itself, which a minified bundle keeps', () => {
  const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const classes = files.flatMap((file) => [
    ...readFileSync(lib + file, 'utf8').matchAll(
      /class (?<name>\w+) extends (?:(?!Error\b)\w+Error|Error(?= \{\s+\/\/ Written)) (?<body>\{\}|\{[^}]*?;|\{)/g,
    ),
  ]);
  const silent = classes.filter(
    ({ groups }) => groups?.['body']?.includes(`override name = '${groups['name']}'`) !== true,
  );
  expect(classes.length).toBeGreaterThan(10);
  expect(silent.map(({ groups }) => groups?.['name'])).toEqual([]);
});
