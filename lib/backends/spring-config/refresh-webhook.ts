import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkOptions, digestOf, SingleFlight, text } from '../../backend/index.js';

/** Options of {@link refreshWebhook}. */
export interface RefreshWebhookOptions {
  /**
   * Who calls must have it, as `Authorization: Bearer …` or as `X-Gitlab-Token`. Without one everybody who reaches the path can
   * have the config server asked. @default none
   */
  readonly token?: string;
}

/**
 * Takes a POST of a Git host, a pipeline or a bus as the word that configuration has changed, and has it read at once:
 *
 * ```ts
 * app.use('/config/refresh', refreshWebhook(() => app.get(ConfigClient).refresh(), { token }));
 * ```
 *
 * Answers 204 when what is new is in force, 401 without the token, 405 to other methods, 503 when it could not be read. What comes
 * while it reads is answered with the reading after that: any number of calls cost two at most.
 *
 * @throws DiscoveryError `INVALID_OPTION`
 */
export function refreshWebhook(
  refresh: () => Promise<unknown>,
  options: RefreshWebhookOptions = {},
): (request: IncomingMessage, response: ServerResponse) => void {
  checkOptions('refreshWebhook()', options, { token: text });
  const { token } = options;
  const flights = new SingleFlight<unknown>();
  let reading: Promise<unknown> = Promise.resolve();
  const next = (): Promise<unknown> =>
    // Joins the reading that has not begun yet.
    flights.run('next', async () => {
      await reading.catch(() => {});
      reading = refresh();
    });
  return (request, response) => {
    // What it holds differs from host to host, and is somebody else's: it isn't read.
    request.resume();
    const answer = (status: number, headers: Record<string, string> = {}): void => {
      response.writeHead(status, headers).end();
    };
    if (request.method !== 'POST') answer(405, { allow: 'POST' });
    else if (token !== undefined && !isSame(given(request), token)) answer(401, { 'www-authenticate': 'Bearer' });
    else {
      next()
        .then(() => reading)
        .then(
          () => answer(204),
          () => answer(503),
        );
    }
  };
}

function given({ headers }: IncomingMessage): string {
  const own = headers['x-gitlab-token'];
  if (typeof own === 'string') return own;
  return /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
}

/** In a time that says nothing of where they differ. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(digestOf(one)), Buffer.from(digestOf(other)));
}
