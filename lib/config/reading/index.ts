export * from './config-entry.js';
export { readDocument, entriesOf } from './document-reader.js';
export { invalidDocument, isPlainObject, ownTextAt } from './entry-collector.js';
