import { writeModules } from '../docs/compile.js';
import { readPage } from '../docs/pages.js';

// The page's own test, as the page has it: what it says of itself is to be true.
const modules = writeModules([readPage('docs/writing-a-backend.md')], 'backend');
const { file } = modules.find((module) => module.file.endsWith('shelf.test.ts')) ?? { file: 'shelf.test.ts' };
await import(file);
