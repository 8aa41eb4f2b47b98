import { isAxiosError, type AxiosResponse } from 'axios';
import { firstValueFrom } from 'rxjs';
import type { Command } from './command.js';
import { UsageError } from './command-io.js';

/** `call SERVICE METHOD /path`: the answer's body on stdout, its status and who gave it on stderr */
export const call: Command = async ([service, method, path], { data, header, json }, runtime, io) => {
  if (service === undefined || method === undefined || path?.startsWith('/') !== true) {
    throw new UsageError('call what? call SERVICE METHOD /path');
  }
  const headers = Object.fromEntries(header.map(headerOf));
  const client = runtime.unboundClient();
  const request = { url: `lb://${service}${path}`, method, data, headers, responseType: 'text' as const };
  const began = performance.now();
  let response: AxiosResponse<unknown>;
  try {
    response = await firstValueFrom(client.request({ ...request, transformResponse: (body: unknown) => body }));
  } catch (error) {
    if (!isAxiosError(error) || error.response === undefined) throw error;
    ({ response } = error as { readonly response: AxiosResponse<unknown> });
  }
  const tookMs = Math.round(performance.now() - began);
  const { status, statusText } = response;
  if (json) io.out(`${JSON.stringify({ status, headers: response.headers, data: response.data, tookMs })}\n`);
  else {
    io.err(`${status} ${statusText} in ${tookMs} ms\n`);
    io.out(`${String(response.data)}\n`);
  }
  return status < 400 ? 0 : 1;
};

function headerOf(text: string): readonly [name: string, value: string] {
  const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw new UsageError(`--header must look like 'name: value', got '${text}'`);
  return [name, value];
}
