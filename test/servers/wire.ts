import { connect } from 'node:net';

/** Connects, sends a text if there is one, and gives what the other side says until it ends or the check is content. */
export function ask(
  host: string,
  port: number,
  question: string,
  enough: (answer: string) => boolean = () => false,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    let answer = '';
    socket.setTimeout(3_000, () => socket.destroy(new Error(`${host}:${port} says nothing`)));
    socket.setEncoding('utf8');
    socket.once('connect', () => question && socket.write(question));
    socket.on('data', (text: string) => {
      answer += text;
      if (enough(answer)) socket.destroy();
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
  });
}

/** ZooKeeper's four-letter commands: `ruok`, `srvr`, `mntr` and so on. */
export function askZooKeeper(host: string, port: number, command: string): Promise<string> {
  return ask(host, port, command);
}

/** The greeting of a NATS server. */
export async function askNatsInfo(host: string, port: number): Promise<{ version: string }> {
  const line = await ask(host, port, '', (text) => text.includes('\r\n'));
  if (!line.startsWith('INFO ')) throw new Error(`${host}:${port} is not a NATS server`);
  return JSON.parse(line.slice('INFO '.length, line.indexOf('\r\n'))) as { version: string };
}
