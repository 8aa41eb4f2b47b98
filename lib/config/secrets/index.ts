export * from './secret-files.js';
export * from './spring-cipher.js';
