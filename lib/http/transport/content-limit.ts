import type { InternalAxiosRequestConfig } from 'axios';

/** What an answer may have when `maxContentLength` isn't given, decoded, in bytes: it is held in memory as a whole. */
export const DEFAULT_MAX_CONTENT_LENGTH = 64 * 1024 * 1024;

/** Whether the default bounds an answer: not one that its caller reads by and by. */
export function hasDefaultLimit({ maxContentLength, responseType }: InternalAxiosRequestConfig): boolean {
  return maxContentLength === undefined && responseType !== 'stream';
}

/** How many bytes an answer may have; Infinity for any number. */
export function contentLimit(config: InternalAxiosRequestConfig): number {
  if (hasDefaultLimit(config)) return DEFAULT_MAX_CONTENT_LENGTH;
  const { maxContentLength } = config;
  return maxContentLength === undefined || maxContentLength < 0 ? Infinity : maxContentLength;
}

/** Axios's words for too many bytes, and what to do about a limit that the caller didn't set. */
export function tooLargeMessage(config: InternalAxiosRequestConfig): string {
  if (!hasDefaultLimit(config)) return `maxContentLength size of ${config.maxContentLength} exceeded`;
  return (
    `maxContentLength size of ${DEFAULT_MAX_CONTENT_LENGTH} exceeded: that is the default of 64 MB; set maxContentLength to ` +
    "what the answer may have (-1: anything), or read it by responseType: 'stream'"
  );
}
