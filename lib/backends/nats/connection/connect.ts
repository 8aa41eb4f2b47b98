import { peerError } from '../../../backend/index.js';
import { defined } from '../../../model/index.js';
import type { ConnectionSettings } from './connection-options.js';
import type { DialSockets } from './dial-sockets.js';
import type { NatsConnection } from './port.js';

/** The part of the two libraries that makes connections. */
export interface NatsLibrary {
  /** Tries each address once, with sockets that are `dial.sockets`'. @throws the library's error */
  connect(settings: ConnectionSettings, dial: Dial): Promise<NatsConnection>;
}

/** What a connection is made with besides the settings. */
export interface Dial {
  /** Name of the connection, unless the settings have one. */
  readonly name: string;
  readonly random: () => number;
  readonly sockets: DialSockets;
}

/**
 * Loads the npm package that makes connections.
 *
 * @throws DiscoveryError `MISSING_PEER`
 */
export async function loadNatsLibrary(backend: string, library: ConnectionSettings['library']): Promise<NatsLibrary> {
  try {
    return asLibrary(await (library === 'nats' ? import('nats') : import('@nats-io/transport-node')));
  } catch (error) {
    throw peerError(backend, library, error);
  }
}

/** What both packages export under the same names. */
interface Exports {
  connect(options: object): Promise<NatsConnection>;
  nkeyAuthenticator(seed: Uint8Array): unknown;
  credsAuthenticator(creds: Uint8Array): unknown;
}

function asLibrary(exports: Exports): NatsLibrary {
  return { connect: (settings, dial) => exports.connect(libraryOptions(exports, settings, dial)) };
}

function libraryOptions(exports: Exports, settings: ConnectionSettings, { name, random, sockets }: Dial): object {
  const { username, password, token, nkeySeed, credentials } = settings.authentication;
  const { tls, connectTimeoutMs, reconnectWaitMs } = settings;
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  // Read for each dial anew.
  const signalled = { enumerable: true, get: () => sockets.signal };
  const timed = {
    get: () => {
      sockets.begins();
      return connectTimeoutMs;
    },
  };
  return {
    servers: [...settings.servers],
    name: settings.connectionName ?? name,
    ...defined({ user: username, pass: password, token }),
    ...(nkeySeed === undefined ? {} : { authenticator: exports.nkeyAuthenticator(bytes(nkeySeed)) }),
    ...(credentials === undefined ? {} : { authenticator: exports.credsAuthenticator(bytes(credentials)) }),
    ...(tls === undefined ? {} : { tls: Object.defineProperty({ ...tls }, 'signal', signalled) }),
    timeout: connectTimeoutMs,
    // The first connection is tried by us: theirs could not be called off.
    waitOnFirstConnect: false,
    maxReconnectAttempts: -1,
    // Asked before each dial, as a method of the library's own copy of these options.
    reconnectDelayHandler(this: object) {
      Object.defineProperty(this, 'timeout', timed);
      return reconnectWaitMs * (0.2 + 0.8 * random());
    },
    // Credentials are renewed while servers restart: two refusals in a row are no reason to give up for ever.
    ignoreAuthErrorAbort: true,
    pingInterval: settings.pingIntervalMs,
    maxPingOut: settings.maxPingsOut,
    inboxPrefix: settings.inboxPrefix,
    // A stack trace for every request costs more than the request.
    noAsyncTraces: true,
  };
}
