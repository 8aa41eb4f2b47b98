// What is known, and what the reader has chosen.

export const page = {
  overview: undefined,
  /** Why there is no news, and since when. */
  failure: undefined,
  failedSince: undefined,
  lastServices: undefined,
  serviceLimit: 50,
  /** Services whose instances are shown, the one that was opened first first. */
  open: new Map(),
  /** Whether the reader has opened or closed one. */
  chosen: false,
  keys: undefined,
  /** The stream of events, while it is heard. */
  source: undefined,
  lastEvent: 0,
  /** Events that were dropped because this browser was too slow. */
  missed: 0,
  /** Asks for everything; set by what goes on. */
  poll: () => {},
  pollSoon: () => {},
};
