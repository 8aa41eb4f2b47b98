import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { ServerTCP } from '@nestjs/microservices';

/** Two servers of gRPC, and two of Nest's TCP, that answer with the same thing at once. */
const thing = { id: 4711, name: 'A thing in stock', price: 12.5, tags: ['a', 'b', 'c'] };

const proto = fileURLToPath(new URL('./things.proto', import.meta.url));
const { things } = grpc.loadPackageDefinition(protoLoader.loadSync(proto));

async function serveGrpc() {
  const server = new grpc.Server();
  server.addService(things.Things.service, { Get: (_call, done) => done(null, thing) });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

async function serveTcp() {
  const server = new ServerTCP({ host: '127.0.0.1', port: 0 });
  server.addHandler('get', async () => thing);
  await new Promise((resolve) => server.listen(resolve));
  return server.unwrap().address().port;
}

process.send?.({
  grpc: [await serveGrpc(), await serveGrpc()],
  tcp: [await serveTcp(), await serveTcp()],
});
process.on('disconnect', () => process.exit(0));
