import { AxiosHeaders } from 'axios';
import { PooledTransport } from '../../../../lib/http/transport/index.js';

/** Makes one call and leaves the transport open: the process must end by itself. */
const transport = new PooledTransport({ keepAliveMs: 60_000 });
const response = await transport.send({
  url: process.argv[2] ?? '',
  headers: new AxiosHeaders(),
  timeout: 60_000,
});
if (response.status !== 200) process.exitCode = 1;
process.disconnect();
