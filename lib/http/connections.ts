import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import axios, { type AxiosAdapter } from 'axios';

/** The connections that all clients of an app share. */
export class Connections {
  /** Sends one request to one instance: axios's own adapter. */
  readonly transport: AxiosAdapter = axios.getAdapter('http');
  readonly httpAgent = new HttpAgent({ keepAlive: true });
  readonly httpsAgent = new HttpsAgent({ keepAlive: true });

  /** Closes all sockets. */
  close(): void {
    this.httpAgent.destroy();
    this.httpsAgent.destroy();
  }
}
