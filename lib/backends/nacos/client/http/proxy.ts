import { request as httpRequest, type RequestOptions } from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { TlsMaterial } from '../../../../backend/index.js';
import { defined } from '../../../../model/index.js';

/** Where a plain request goes that a proxy hands on, and the headers for it. */
export function viaProxy(proxy: string, url: URL): { target: RequestOptions; headers: Record<string, string> } {
  const { host, port, headers } = proxyParts(proxy);
  return { target: { protocol: 'http:', host, port, path: url.href }, headers: { ...headers, Host: url.host } };
}

/** A connection to an HTTPS server through a proxy's CONNECT. It ends with the request, or with the signal before. */
export async function tunnel(proxy: string, url: URL, signal: AbortSignal, tls: TlsMaterial): Promise<Duplex> {
  const { headers, ...at } = proxyParts(proxy);
  const target = `${url.hostname}:${url.port === '' ? '443' : url.port}`;
  const socket = await new Promise<Duplex>((resolve, reject) => {
    const connecting = httpRequest({
      ...at,
      method: 'CONNECT',
      path: target,
      headers: { ...headers, Host: target },
      signal,
      agent: false,
    });
    connecting.on('error', reject);
    connecting.on('connect', (answer, raw) => {
      if (answer.statusCode === 200) return resolve(raw);
      raw.destroy();
      reject(new Error(`the proxy answered ${answer.statusCode ?? 0} to CONNECT`));
    });
    connecting.end();
  });
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // An address is no server name: the certificate is checked against the host.
  const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined);
  return connectTls({ ...tls, socket, host, ...defined({ servername }) });
}

function proxyParts(proxy: string): { host: string; port: number; headers: Record<string, string> } {
  const url = new URL(proxy.includes('://') ? proxy : `http://${proxy}`);
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 80 : Number(url.port),
    headers: url.username === '' ? {} : { 'Proxy-Authorization': `Basic ${Buffer.from(user).toString('base64')}` },
  };
}
