import { AxiosError, type InternalAxiosRequestConfig } from 'axios';

/** Where one request goes. */
export interface Target {
  /** `http://10.0.0.5:8080`: in lower case, without a default port. */
  readonly origin: string;
  /** Path and query, as they go over the wire. */
  readonly path: string;
  /** `user:password` for `Authorization`, from the URL or from `auth`; undefined as a property of its own, whatever `Object.prototype` was made to have. */
  readonly auth: string | undefined;
}

/** URLs that are as they would come out of a URL object: most of them, and much cheaper to take apart so. */
const PLAIN =
  /^(https?:\/\/(?:[a-z\d.-]+|\[[\da-f:]+\])(?::\d{1,5})?)((?:\/[\w\-!$&'()*+,;=:@%~][\w\-.!$&'()*+,;=:@%~]*)+\/?|\/)?(\?[\w\-.!$&()*+,;=:@%~/?]*)?$/;

/**
 * Takes an absolute URL apart.
 * @throws AxiosError `ERR_BAD_REQUEST` for a scheme that isn't HTTP, an error with the code `ERR_INVALID_URL` for what
 * is no URL
 */
export function parseTarget(url: string, config: InternalAxiosRequestConfig): Target {
  const plain = PLAIN.exec(url);
  if (plain !== null) {
    const [, origin = '', path = '/', query = ''] = plain;
    if (!origin.endsWith(':80') && !origin.endsWith(':443')) return { origin, path: path + query, auth: undefined };
  }
  checkScheme(url, config);
  return fromUrl(new URL(url), config);
}

/**
 * A URL object would take what follows `http:` for a host, and a base URL would take all of it for a path.
 * @throws AxiosError `ERR_INVALID_URL`
 */
export function checkScheme(url: string | undefined, config: InternalAxiosRequestConfig): void {
  if (url !== undefined && /^https?:(?!\/\/)/i.test(url)) {
    throw new AxiosError('Invalid URL: missing "//" after protocol', 'ERR_INVALID_URL', config);
  }
}

function fromUrl(parsed: URL, config: InternalAxiosRequestConfig): Target {
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw new AxiosError(`Unsupported protocol ${parsed.protocol}`, AxiosError.ERR_BAD_REQUEST, config);
  }
  const { origin, pathname, search, username, password } = parsed;
  const auth = username === '' && password === '' ? undefined : `${decoded(username)}:${decoded(password)}`;
  return { origin, path: pathname + search, auth };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
