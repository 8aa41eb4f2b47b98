import type { InternalAxiosRequestConfig } from 'axios';
import type { CallAddress } from './address.js';
import type { ServiceRequestConfig } from './call-options.js';
import type { CallSigns } from './call-routing.js';

/** What an axios call says of where it goes. */
export function signsOf(config: InternalAxiosRequestConfig, { path }: CallAddress): CallSigns {
  const { loadBalancing } = config as ServiceRequestConfig;
  return { header: (name) => headerOf(config, name), path, given: loadBalancing };
}

function headerOf({ headers }: InternalAxiosRequestConfig, name: string): string | undefined {
  const value = headers.get(name);
  return typeof value === 'string' ? value : undefined;
}
