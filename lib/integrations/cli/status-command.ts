import { messageOf, printable } from '../../model/index.js';
import type { CommandOptions } from './command.js';
import { reasonFrom, statusFrom } from './status-words.js';
import { coloured, table, UsageError, type CommandIo } from './command-io.js';

/** What is read of an app's operator endpoints. */
interface Overview {
  readonly app: { readonly name: string };
  readonly readiness: { readonly ready: boolean; readonly reasons: readonly string[] };
  readonly registration: {
    readonly status?: string;
    readonly instanceId?: string;
    readonly registries: readonly {
      readonly backend: string;
      readonly instanceId: string;
      readonly phase: string;
      readonly error?: { readonly message: string };
    }[];
  };
}

/** `status [UP|OUT_OF_SERVICE REASON]`, at an app's operator endpoints. The status is 0 when the app takes traffic. */
export async function status(
  words: readonly string[],
  { operator, header, json, timeoutMs }: CommandOptions,
  io: CommandIo,
): Promise<number> {
  const wanted = statusFrom(words);
  const base = operator ?? io.env['DISCOVERY_OPERATOR'];
  if (base === undefined) {
    throw new UsageError(
      'of which app? give --operator http://127.0.0.1:3000/discovery, or --service and --instance for what a registry says of it',
    );
  }
  const app = new OperatorEndpoints(base, header, timeoutMs);
  if (wanted === 'OUT_OF_SERVICE') await app.ask('registration/pause', { reason: reasonFrom(words) });
  else if (wanted === 'UP') await app.ask('registration/resume', {});
  const overview = (await app.ask('overview')) as Overview;
  const { readiness, registration } = overview;
  if (json) io.out(`${JSON.stringify({ ...readiness, registration })}\n`);
  else {
    const word = readiness.ready ? coloured(io, 'green', 'takes traffic') : coloured(io, 'red', 'takes no traffic');
    const reasons = readiness.reasons.length === 0 ? '' : `: ${readiness.reasons.map(printable).join('; ')}`;
    io.out(`${printable(overview.app.name)} ${word}${reasons}\n`);
    const rows = registration.registries.map((one) => [
      one.backend,
      one.instanceId,
      registration.status ?? '',
      one.phase,
      one.error?.message ?? '',
    ]);
    if (rows.length > 0) io.out(table(['REGISTRY', 'INSTANCE', 'STATUS', 'STATE', 'PROBLEM'], rows));
  }
  // What was wanted is what counts.
  return wanted === 'OUT_OF_SERVICE' || readiness.ready ? 0 : 1;
}

/** An app's operator endpoints, as a client has them. */
class OperatorEndpoints {
  private readonly base: URL;
  private readonly headers: Record<string, string> = {};

  constructor(
    base: string,
    headers: readonly string[],
    private readonly timeoutMs: number,
  ) {
    try {
      this.base = new URL(base.endsWith('/') ? base : `${base}/`);
    } catch {
      throw new UsageError('--operator must be a URL, such as http://127.0.0.1:3000/discovery');
    }
    const { username, password } = this.base;
    if (username !== '') {
      const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
      this.headers['authorization'] = `Basic ${Buffer.from(login).toString('base64')}`;
    }
    this.base.username = '';
    this.base.password = '';
    for (const header of headers) {
      const [, name, value] = /^([^:\s]+):\s*(.*)$/s.exec(header) ?? [];
      if (name === undefined || value === undefined) throw new UsageError(`a header is 'name: value'`);
      this.headers[name.toLowerCase()] = value;
    }
  }

  /** @throws Error which says what the app answered */
  async ask(path: string, body?: object): Promise<unknown> {
    const url = new URL(path, this.base);
    const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    let response: Response;
    try {
      response = await fetch(url, {
        ...sent,
        headers: { ...this.headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        redirect: 'error',
        signal: AbortSignal.timeout(this.timeoutMs),
      });
    } catch (error) {
      const { cause } = error as { readonly cause?: unknown };
      throw new Error(`${url.href} doesn't answer: ${messageOf(cause ?? error)}`, { cause: error });
    }
    const text = await response.text();
    let told: { readonly message?: unknown } = {};
    try {
      told = JSON.parse(text) as typeof told;
    } catch {
      throw new Error(`${url.href} answered with ${response.status}, and no JSON: is it the operator's path?`);
    }
    if (response.ok) return told;
    const why = typeof told.message === 'string' ? told.message : response.statusText;
    throw new Error(`${url.href} answered with ${response.status}: ${why}`);
  }
}
