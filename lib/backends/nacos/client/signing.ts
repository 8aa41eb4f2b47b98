import { createHash, createHmac } from 'node:crypto';
import type { NacosAccessKeys } from './options.js';

/** Lower-case hex MD5 of a text's UTF-8 bytes: how Nacos compares contents. */
export function md5(text: string): string {
  return createHash('md5').update(text, 'utf8').digest('hex');
}

/** What a signature covers. */
export type SignedResource =
  | { readonly kind: 'config'; readonly tenant?: string; readonly group?: string }
  | { readonly kind: 'naming'; readonly serviceName?: string; readonly groupName?: string };

/**
 * The headers (or, for naming over HTTP, the parameters) that sign a request with an access key.
 *
 * @param region signs with a key derived for it (version 4)
 */
export function signatureHeaders(
  resource: SignedResource,
  keys: NacosAccessKeys,
  now: number,
  region?: string,
): Record<string, string> {
  const { accessKey, securityToken } = keys;
  const timestamp = String(now);
  const secret = region === undefined ? keys.secretKey : derivedKey(keys.secretKey, region, new Date(now));
  const extra = {
    ...(securityToken === undefined ? {} : { 'Spas-SecurityToken': securityToken }),
    ...(region === undefined ? {} : { signatureVersion: 'v4' }),
  };
  if (resource.kind === 'config') {
    const name = configResource(resource.tenant ?? '', resource.group ?? '');
    return {
      'Spas-AccessKey': accessKey,
      Timestamp: timestamp,
      'Spas-Signature': hmacSha1(secret, name === '' ? timestamp : `${name}+${timestamp}`),
      ...extra,
    };
  }
  const service = namingResource(resource.serviceName ?? '', resource.groupName ?? '');
  const data = service === '' ? timestamp : `${timestamp}@@${service}`;
  return { ak: accessKey, data, signature: hmacSha1(secret, data), ...extra };
}

/** Base64 of HMAC-SHA1, both as UTF-8. */
export function hmacSha1(secret: string, text: string): string {
  return createHmac('sha1', secret).update(text, 'utf8').digest('base64');
}

/** The key of version 4 signatures: bound to a day and a region. */
export function derivedKey(secretKey: string, region: string, day: Date): string {
  const date = day.toISOString().slice(0, 10).replaceAll('-', '');
  const chain = [date, region, 'mse-nacos', 'aliyun_v4_request'];
  const key = chain.reduce<Buffer>(
    (current, part) => createHmac('sha256', current).update(part, 'utf8').digest(),
    Buffer.from(`aliyun_v4${secretKey}`),
  );
  return key.toString('base64');
}

function configResource(tenant: string, group: string): string {
  return tenant === '' ? group : `${tenant}+${group}`;
}

function namingResource(service: string, group: string): string {
  return service.includes('@@') || group === '' ? service : `${group}@@${service}`;
}
