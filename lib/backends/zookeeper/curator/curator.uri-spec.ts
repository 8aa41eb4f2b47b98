import { field, isObject, textField, type JsonObject } from '../json.js';

/** Where a record says that its instance is reached. */
export interface SpecifiedAddress {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  /** Path below which it serves, without a slash at its end; empty for none. */
  readonly path: string;
}

/** What the template may name; undefined for what the record doesn't have. */
type Variables = Readonly<Record<string, string | undefined>>;

/** A piece of a template: a text, or the name of a variable. */
interface Part {
  readonly value: string;
  readonly variable: boolean;
}

/** Ports that a URL leaves out. */
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/**
 * The address that a record's `uriSpec` describes, by Curator's rules: a template of texts and variables, as a list of
 * parts or as one text. The scheme may be fixed, the host too, and a path may follow.
 *
 * @returns undefined without a `uriSpec`, with one that needs what the record lacks, and with one that gives no URL: then
 * address and port count
 */
export function addressOfUriSpec(
  record: JsonObject,
  ports: { readonly port: number | undefined; readonly sslPort: number | undefined },
): SpecifiedAddress | undefined {
  const parts = partsOf(field(record, 'uriSpec'));
  if (parts === undefined) return undefined;
  const variables = variablesOf(record, ports);
  const text = build(parts, variables);
  const url =
    text === undefined || !/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || !URL.canParse(text) ? undefined : new URL(text);
  if (url === undefined || url.hostname === '') return undefined;
  const scheme = url.protocol.slice(0, -1);
  const named = (name: string): boolean => parts.some((part) => part.variable && part.value === name);
  // Spring calls an instance that has a TLS port there, whatever its default template says.
  const secure = ports.sslPort !== undefined && named('scheme') && named('port');
  const port = secure ? ports.sslPort : url.port === '' ? DEFAULT_PORTS[scheme] : Number(url.port);
  if (port === undefined || port === 0) return undefined;
  // A URL writes hosts in its own way; the record's is the one that is known.
  const own = variables['address'];
  const isOwn =
    own !== undefined && URL.canParse(`http://${own}`) && new URL(`http://${own}`).hostname === url.hostname;
  const host = (isOwn ? own : url.hostname).replace(/^\[|\]$/g, '');
  return { scheme, host, port, path: url.pathname.replace(/\/+$/, '') };
}

function variablesOf(
  record: JsonObject,
  { port, sslPort }: { readonly port: number | undefined; readonly sslPort: number | undefined },
): Variables {
  const given = textField(record, 'address');
  // Nothing that would end the host.
  const address = given === undefined || /[\s/\\?#@]/.test(given) ? undefined : given;
  const registered = field(record, 'registrationTimeUTC');
  return {
    scheme: sslPort === undefined ? 'http' : 'https',
    name: textField(record, 'name'),
    id: textField(record, 'id'),
    address: address?.includes(':') === true ? `[${address}]` : address,
    port: port?.toString(),
    'ssl-port': sslPort?.toString(),
    'registration-time-utc': typeof registered === 'number' ? String(registered) : undefined,
    'service-type': textField(record, 'serviceType')?.toLowerCase(),
    '[': '{',
    ']': '}',
  };
}

function partsOf(spec: unknown): readonly Part[] | undefined {
  if (typeof spec === 'string') {
    return [...spec.matchAll(/\{([^{}]*)\}|[^{]+|\{/g)].map(([text, variable]) => ({
      value: variable?.trim() ?? text,
      variable: variable !== undefined,
    }));
  }
  const list = isObject(spec) ? field(spec, 'parts') : undefined;
  if (!Array.isArray(list)) return undefined;
  const parts = list.map((part): Part | undefined => {
    const value = isObject(part) ? field(part, 'value') : undefined;
    return typeof value === 'string'
      ? { value, variable: isObject(part) && field(part, 'variable') === true }
      : undefined;
  });
  return parts.every((part) => part !== undefined) ? parts : undefined;
}

/** Curator leaves out what a record doesn't have; a URL made of the rest would lead elsewhere. */
function build(parts: readonly Part[], variables: Variables): string | undefined {
  let text = '';
  for (const { value, variable } of parts) {
    const part = !variable ? value : Object.hasOwn(variables, value) ? variables[value] : undefined;
    if (part === undefined) return undefined;
    text += part;
  }
  return text;
}
