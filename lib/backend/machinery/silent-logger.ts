import type { Logger } from '../port/logger.js';

/** Writes nothing. */
export const silentLogger: Logger = { error() {}, warn() {}, log() {}, debug() {} };
