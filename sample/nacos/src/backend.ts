import { nacos } from 'nestjs-service-discovery/nacos';

/**
 * The server that all processes meet at, `http://user:password@host:port/nacos`:
 * `eval "$(npm run -s servers -- env)"` names one after `npm run servers -- up nacos`.
 */
const url = new URL(process.env['NACOS_URL'] ?? 'http://localhost:8848/nacos');

/** The server's address, without user and password. */
export const NACOS = url.host;

/** One definition for registry and configuration: both go over one gRPC connection. */
export const backend = nacos({
  serverAddresses: NACOS,
  ...(url.username === ''
    ? {}
    : { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) }),
});
