import type { EurekaHttpClient } from './http-client.js';

/** What Amazon says of the machine, by the names that Eureka's own clients use. */
export type AmazonMetadata = Readonly<Record<string, string>>;

/** Where to ask, and how long to wait. */
export interface AmazonOptions {
  /** @default 'http://169.254.169.254' */
  readonly url: string;
  /** For each question, in milliseconds. @default 1000 */
  readonly timeoutMs: number;
  readonly http: EurekaHttpClient;
}

/** Eureka's name → path below `/latest/meta-data/`. */
const PATHS: Readonly<Record<string, string>> = {
  'instance-id': 'instance-id',
  'ami-id': 'ami-id',
  'ami-launch-index': 'ami-launch-index',
  'instance-type': 'instance-type',
  'local-ipv4': 'local-ipv4',
  'local-hostname': 'local-hostname',
  'availability-zone': 'placement/availability-zone',
  'public-hostname': 'public-hostname',
  'public-ipv4': 'public-ipv4',
  mac: 'mac',
};

const TOKEN_SECONDS = '300';

/**
 * Asks Amazon's metadata service for what Eureka wants to know of an instance. The service's second version, with a
 * token, is tried first; without a token the questions are asked as of old.
 *
 * @throws whatever the first question fails with: then nothing is there
 */
export async function readAmazonMetadata(options: AmazonOptions, signal?: AbortSignal): Promise<AmazonMetadata> {
  const base = options.url.replace(/\/+$/, '');
  const token = await readToken(base, options, signal);
  const headers: Record<string, string> = token === undefined ? {} : { 'x-aws-ec2-metadata-token': token };
  const get = async (path: string): Promise<string | undefined> => {
    const request = { url: `${base}${path}`, method: 'GET', headers };
    const response = await options.http.request(request, undefined, options.timeoutMs, signal);
    const text = response.bodyText.trim();
    return response.status === 200 && text !== '' && text.length <= 4096 ? text : undefined;
  };
  const found: Record<string, string> = {};
  const instanceId = await get('/latest/meta-data/instance-id');
  if (instanceId === undefined) throw new Error('the metadata service knows no instance-id');
  found['instance-id'] = instanceId;
  const rest = Object.entries(PATHS).filter(([name]) => name !== 'instance-id');
  await Promise.all(
    rest.map(async ([name, path]) => {
      // Not every machine has a public name; one question that fails is no reason to lose the others.
      const value = await get(`/latest/meta-data/${path}`).catch(() => undefined);
      if (value !== undefined) found[name] = value;
    }),
  );
  const mac = found['mac'];
  if (mac !== undefined && /^[0-9a-f:]{17}$/i.test(mac)) {
    const vpc = await get(`/latest/meta-data/network/interfaces/macs/${mac}/vpc-id`).catch(() => undefined);
    if (vpc !== undefined) found['vpc-id'] = vpc;
  }
  const accountId = accountOf(await get('/latest/dynamic/instance-identity/document').catch(() => undefined));
  if (accountId !== undefined) found['accountId'] = accountId;
  return Object.freeze(found);
}

async function readToken(
  base: string,
  options: AmazonOptions,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': TOKEN_SECONDS };
  const request = { url: `${base}/latest/api/token`, method: 'PUT', headers };
  const response = await options.http.request(request, undefined, options.timeoutMs, signal);
  const token = response.bodyText.trim();
  return response.status === 200 && /^[\x21-\x7e]+$/.test(token) ? token : undefined;
}

function accountOf(document: string | undefined): string | undefined {
  if (document === undefined) return undefined;
  try {
    const parsed: unknown = JSON.parse(document);
    if (typeof parsed !== 'object' || parsed === null || !('accountId' in parsed)) return undefined;
    return typeof parsed.accountId === 'string' ? parsed.accountId : undefined;
  } catch {
    return undefined;
  }
}
