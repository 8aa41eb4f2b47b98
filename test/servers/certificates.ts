import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './exec.js';
import type { TlsFiles } from './types.js';

/** Makes a certificate authority and a server certificate for loopback, good for a day. */
export async function makeCertificates(folder: string): Promise<TlsFiles> {
  const path = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '1', '-subj', '/CN=test CA');
  await openssl('req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost');
  await writeFile(
    path('server.ext'),
    'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n',
  );
  const sign = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1', '-extfile', 'server.ext'];
  await openssl('x509', '-req', '-in', 'server.csr', ...sign, '-out', 'server.pem');
  const [ca, cert, keyText] = await Promise.all(
    ['ca.pem', 'server.pem', 'server.key'].map((name) => readFile(path(name), 'utf8')),
  );
  return {
    ...{ caFile: path('ca.pem'), certFile: path('server.pem'), keyFile: path('server.key') },
    ...{ ca: ca ?? '', cert: cert ?? '', key: keyText ?? '' },
  };
}
