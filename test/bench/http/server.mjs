import { createServer } from 'node:net';

/**
 * An HTTP server with as little work per request as can be, so that the client is what is measured: answers every
 * request on a connection with the same JSON, once its body has come.
 */
const body = JSON.stringify({
  id: 4711,
  name: 'A thing in stock',
  price: 12.5,
  tags: ['a', 'b', 'c'],
  nested: { quantity: 12, reserved: 3, at: '2026-01-01T00:00:00Z' },
});
const answer = Buffer.from(
  'HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\nContent-Type: application/json; charset=utf-8\r\n' +
    `Content-Length: ${Buffer.byteLength(body)}\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n` +
    `Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n${body}`,
);

const onSocket = (socket) => {
  let text = '';
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    text += chunk.latin1Slice();
    for (;;) {
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const length = /content-length: (\d+)/i.exec(text.slice(0, end));
      const total = end + 4 + Number(length?.[1] ?? 0);
      if (text.length < total) return;
      text = text.slice(total);
      socket.write(answer);
    }
  });
};

/** Two ports, as two instances. */
const ports = [];
for (let i = 0; i < 2; i += 1) {
  const server = createServer(onSocket);
  server.listen(0, '127.0.0.1', () => {
    ports.push(server.address().port);
    if (ports.length === 2) process.send?.({ ports });
  });
}
process.on('disconnect', () => process.exit(0));
