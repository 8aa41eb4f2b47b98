import { expect, it } from 'vitest';
import { entries, manifestOf, readManifest } from './entries.js';

it('package.json names every entry, with its types for every resolution (npm run entries)', () => {
  const { exports, typesVersions } = readManifest();
  expect({ exports, typesVersions }).toEqual(manifestOf(entries()));
});

it('the published manifest knows no workspaces', () => {
  expect(readManifest()).not.toHaveProperty('workspaces');
});
