/** Headers of one connection, or of how one message is sent: they mean something else, or nothing, in another message. */
export const MESSAGE_HEADERS: readonly string[] = Object.freeze([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
