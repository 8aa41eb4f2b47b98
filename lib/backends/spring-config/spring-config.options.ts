import {
  assertDocumentId,
  assertName,
  checked,
  conceal,
  DiscoveryError,
  either,
  integerBetween,
  listOf,
  milliseconds,
  recordOf,
  satisfying,
  serverTexts,
  text,
  tlsCheck,
  withEnvironment,
  type Check,
  type EnvironmentOptions,
  type Resolved,
  type TlsOptions,
} from '../../backend/index.js';

/** Options of {@link springConfig}. */
export interface SpringConfigOptions {
  /** Unique within an app. @default 'spring-config' */
  readonly name?: string;
  /**
   * Where the config server is, `http://host:8888/path`; of several the next is asked when one fails. `lb://CONFIG-SERVER` is found
   * in the app's registry, with the path that its instances have as `configPath` in their metadata.
   * @default 'http://localhost:8888'
   */
  readonly url?: string | readonly string[];
  /** Whose configuration is read; of several, the first wins. @default the app's name */
  readonly application?: string | readonly string[];
  /**
   * Whose documents are read besides those without a profile. @default the app's profiles, or `default` when it has
   * none
   */
  readonly profiles?: readonly string[];
  /** Branch, tag or commit; of several the first that there is. @default the server's own */
  readonly label?: string | readonly string[];
  /** Of the server's basic authentication. @default that of the URL, if any */
  readonly username?: string;
  /** Of `username`. */
  readonly password?: string;
  /** Handed on to Vault, as `X-Config-Token`. @default none */
  readonly token?: string;
  /** Sent with every request. @default {} */
  readonly headers?: Readonly<Record<string, string>>;
  /** How to speak TLS, to an `https` address. */
  readonly tls?: TlsOptions;
  /** How often the configuration is read, in milliseconds, shortened by chance by up to a tenth. @default 30000 */
  readonly pollMs?: number;
  /** An answer that takes longer has failed, in milliseconds. @default 10000 */
  readonly requestTimeoutMs?: number;
  /** A longer answer is an error, in bytes. @default 10485760 (10 MiB) */
  readonly maxResponseBytes?: number;
}

const texts = either('a text or a list of texts', text, listOf(text));

const header: Check = satisfying(
  'a text without line breaks',
  (value) => typeof value === 'string' && /^[\t\x20-\x7e\x80-\xff]+$/.test(value),
);

const CHECKS: Readonly<Record<keyof SpringConfigOptions, Check>> = {
  name: text,
  url: texts,
  application: texts,
  profiles: listOf(text),
  label: texts,
  username: text,
  password: text,
  token: header,
  headers: recordOf(header),
  tls: tlsCheck(),
  pollMs: milliseconds(50),
  requestTimeoutMs: milliseconds(50),
  maxResponseBytes: integerBetween(1024, 2 ** 31 - 1),
};

const listed = (list: string): readonly string[] => list.split(',').map((one) => one.trim());

/** Spring's variables. */
const ENVIRONMENT: EnvironmentOptions<SpringConfigOptions> = {
  url: { variables: ['SPRING_CLOUD_CONFIG_URI'] },
  application: { variables: ['SPRING_CLOUD_CONFIG_NAME'], read: listed },
  label: { variables: ['SPRING_CLOUD_CONFIG_LABEL'], read: listed },
  username: { variables: ['SPRING_CLOUD_CONFIG_USERNAME'] },
  password: { variables: ['SPRING_CLOUD_CONFIG_PASSWORD'] },
  token: { variables: ['SPRING_CLOUD_CONFIG_TOKEN'] },
};

const DEFAULTS = {
  name: 'spring-config',
  url: 'http://localhost:8888',
  label: [],
  headers: {},
  tls: {},
  pollMs: 30_000,
  requestTimeoutMs: 10_000,
  maxResponseBytes: 10 * 2 ** 20,
} satisfies SpringConfigOptions;

/** Options after defaults and checks. */
export interface SpringConfigSettings extends Omit<
  Resolved<SpringConfigOptions, typeof DEFAULTS>,
  'url' | 'application' | 'label' | 'username' | 'password' | 'token' | 'headers'
> {
  readonly servers: readonly ServerUrl[];
  readonly applications: readonly string[] | undefined;
  readonly labels: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
}

/** Where a server is, or the service that it is an instance of. */
export interface ServerUrl {
  /** Without credentials, and without a slash at its end. */
  readonly base: string;
  /** The service, and the path after its name, of an `lb:` URL. */
  readonly service: { readonly name: string; readonly path: string } | undefined;
  /** The `Authorization` header of its requests. */
  readonly authorization: string | undefined;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws DiscoveryError `INVALID_OPTION` or `INVALID_NAME`, naming the field
 */
export function resolveSpringConfigOptions(options: SpringConfigOptions): SpringConfigSettings {
  return withEnvironment(options, ENVIRONMENT, resolved);
}

function resolved(options: SpringConfigOptions): SpringConfigSettings {
  const given = checked('springConfig()', options, CHECKS, DEFAULTS);
  const { url, application, label, username, password, token, ...rest } = given;
  assertName(rest.name, 'name');
  if (username === undefined && password !== undefined) throw invalid('username', 'is required with password');
  if (username?.includes(':') === true) throw invalid('username', 'must not have a colon');
  const own = username === undefined ? undefined : basic(username, password ?? '');
  const applications = application === undefined ? undefined : [application].flat();
  for (const name of applications ?? []) assertDocumentId(name, 'application');
  for (const profile of rest.profiles ?? []) assertName(profile, 'profiles');
  const labels = [label].flat();
  for (const one of labels) assertDocumentId(one, 'label');
  return Object.freeze(
    conceal({
      ...rest,
      servers: serverTexts(url, 'springConfig(): url', 'url').map((one) => serverUrl(one, own)),
      applications,
      labels,
      headers: { ...rest.headers, ...(token === undefined ? {} : { 'X-Config-Token': token }) },
    }),
  );
}

function serverUrl(given: string, authorization: string | undefined): ServerUrl {
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    throw invalid('url', 'must be a URL such as http://localhost:8888 or lb://CONFIG-SERVER');
  }
  const { protocol, host, pathname, search, hash } = url;
  if (!['http:', 'https:', 'lb:'].includes(protocol) || host === '' || `${search}${hash}` !== '') {
    throw invalid('url', 'must be a URL such as http://localhost:8888 or lb://CONFIG-SERVER');
  }
  const path = pathname.replace(/\/+$/, '');
  const credentials = url.username === '' && url.password === '' ? undefined : credentialsOf(url);
  return {
    base: `${protocol}//${host}${path}`,
    service: protocol === 'lb:' ? { name: host, path } : undefined,
    authorization: authorization ?? credentials,
  };
}

function credentialsOf({ username, password }: URL): string {
  try {
    return basic(decodeURIComponent(username), decodeURIComponent(password));
  } catch {
    throw invalid('url', 'has credentials that are not encoded as a URL has them');
  }
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function invalid(field: string, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `springConfig(): ${field} ${problem}`, { field });
}
