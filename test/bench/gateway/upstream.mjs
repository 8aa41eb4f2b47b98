/**
 * Services for the gateway's bench: one port for each argument's count, which answer `/quote` with a small JSON, `/large`
 * with as many bytes as the query says, and count what they are sent.
 */
import { createServer } from 'node:http';

const body = JSON.stringify({ id: 4711, name: 'A thing in stock', price: 12.5, tags: ['a', 'b', 'c'] });
const piece = Buffer.alloc(256 * 1024, 'x');
const servers = new Map();

function open() {
  const server = createServer((request, response) => {
    const bytes = Number(/bytes=(\d+)/.exec(request.url)?.[1] ?? NaN);
    if (request.method === 'PUT') {
      let got = 0;
      request.on('data', (chunk) => (got += chunk.length));
      request.on('end', () => response.end(String(got)));
    } else if (Number.isNaN(bytes)) {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
      response.end(body);
    } else {
      response.writeHead(200, { 'content-length': bytes });
      let left = bytes;
      const write = () => {
        while (left > 0) {
          const next = left < piece.length ? piece.subarray(0, left) : piece;
          left -= next.length;
          if (!response.write(next)) return void response.once('drain', write);
        }
        response.end();
      };
      write();
    }
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      servers.set(port, server);
      resolve(port);
    });
  });
}

process.on('message', ({ start, stop }) => {
  if (start) void open().then((port) => process.send({ started: port }));
  // As a graceful shutdown: nothing new, and what is under way is answered.
  if (stop !== undefined) servers.get(stop).close(() => process.send({ stopped: stop }));
});
process.on('disconnect', () => process.exit(0));
const count = Number(process.argv[2] ?? 2);
process.send({ ports: await Promise.all(Array.from({ length: count }, open)) });
