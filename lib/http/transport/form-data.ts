import type { InternalAxiosRequestConfig } from 'axios';
import { isStream } from './stream-source.js';

/** A form of the package form-data: a stream with headers. */
interface Form {
  getHeaders(): object;
  getLength?(callback: (error: Error | null, length?: number) => void): void;
  getLengthSync?(): number;
  hasKnownLength?(): boolean;
}

export function isForm(data: unknown): data is Form {
  return typeof data === 'object' && data !== null && 'getHeaders' in data && typeof data.getHeaders === 'function';
}

/** Sets the headers that a form says it needs, and its length when it has no files, whose size must be looked up. */
export function setFormHeaders(form: Form, config: InternalAxiosRequestConfig): void {
  const { headers } = config;
  const onlyContent = 'formDataHeaderPolicy' in config && config.formDataHeaderPolicy === 'content-only';
  for (const [name, value] of Object.entries(form.getHeaders())) {
    if (!onlyContent || /^content-(?:type|length)$/i.test(name)) headers.set(name, value);
  }
  if (!headers.hasContentLength() && form.hasKnownLength?.() === true && form.getLengthSync !== undefined) {
    headers.setContentLength(String(form.getLengthSync()));
  }
}

/** Whether the call sends a form whose length must be waited for: servers may refuse a body without one (411). */
export function isUnmeasuredForm({ data, headers }: InternalAxiosRequestConfig): boolean {
  return (
    isForm(data) && data.getLength !== undefined && data.hasKnownLength?.() !== true && !headers.hasContentLength()
  );
}

/** Sets the length of a form with files. One that can't tell it is sent without, as by axios. */
export function measureForm({ data, headers }: InternalAxiosRequestConfig): Promise<void> {
  return new Promise((resolve) => {
    const done = (error: Error | null, length?: number): void => {
      if (error === null && length !== undefined && Number.isFinite(length) && length >= 0) {
        headers.setContentLength(String(length));
      }
      resolve();
    };
    try {
      (data as Form).getLength?.(done);
    } catch {
      resolve();
    }
  });
}

/** Whether a body is a stream or bytes, of which nobody but the caller knows what they are. */
export function isUntyped(data: unknown): boolean {
  return (isStream(data) && !isForm(data)) || data instanceof ArrayBuffer || ArrayBuffer.isView(data);
}
