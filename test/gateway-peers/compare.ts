import { DETAILS, type DetailsTarget } from './details.js';
import { DetailsUpstream } from './upstream.js';

/** A gateway that is running. */
export interface RunningGateway {
  readonly port: number;
  close(): unknown;
}

/** A gateway of the comparison. */
export interface ComparedGateway {
  readonly name: string;
  /** Starts it: `/stock/**` is passed on to this port of 127.0.0.1, without the prefix. */
  start(upstreamPort: number): Promise<RunningGateway>;
}

/** Of one detail: right, or in what way not. */
export type Finding = 'yes' | `no: ${string}`;

/** How long a gateway may take for one detail before it counts as one that hangs, in milliseconds. */
const LIMIT_MS = 6000;

/** Runs the list on one gateway, in its order; one that hangs is started anew, so that no other detail pays for it. */
export async function findingsOf(gateway: ComparedGateway): Promise<ReadonlyMap<string, Finding>> {
  const findings = new Map<string, Finding>();
  let begun = await begin(gateway);
  for (const detail of DETAILS) {
    let timer: NodeJS.Timeout | undefined;
    let hangs = false;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        hangs = true;
        reject(new Error('hangs, or never happens'));
      }, LIMIT_MS);
    });
    try {
      detail.assert(await Promise.race([detail.request(begun.target), late]), begun.target);
      findings.set(detail.name, 'yes');
    } catch (error) {
      findings.set(detail.name, `no: ${shortOf(error)}`);
    } finally {
      clearTimeout(timer);
    }
    if (!hangs) continue;
    await begun.close();
    begun = await begin(gateway);
  }
  await begun.close();
  return findings;
}

async function begin(
  gateway: ComparedGateway,
): Promise<{ readonly target: DetailsTarget; readonly close: () => Promise<void> }> {
  const upstream = await DetailsUpstream.start();
  const running = await gateway.start(upstream.port);
  return {
    target: { port: running.port, upstream },
    close: async () => {
      await running.close();
      await upstream.close();
    },
  };
}

/** A table in Markdown: a row for each detail, a column for each gateway; below it, why they are not. */
export function tableOf(found: ReadonlyMap<string, ReadonlyMap<string, Finding>>): string {
  const names = [...found.keys()];
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const lines = [row(['', ...names]), row(['---', ...names.map(() => '---')])];
  const reasons: string[] = [];
  for (const { name } of DETAILS) {
    const findings = names.map((gateway) => found.get(gateway)?.get(name) ?? 'no: not tried');
    lines.push(row([name, ...findings.map((one) => (one === 'yes' ? 'yes' : 'no'))]));
    findings.forEach((one, at) => {
      if (one !== 'yes') reasons.push(`- ${names[at]}: ${name}: ${one.slice(4)}`);
    });
  }
  return [...lines, '', ...reasons].join('\n');
}

function shortOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s+/g, ' ').slice(0, 160);
}
