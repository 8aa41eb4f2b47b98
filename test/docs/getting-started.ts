import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packTarball } from '../package/tarball.js';
import { program } from '../servers/products/consul.js';
import { readPage, type Block } from './pages.js';

/**
 * `npm run docs:getting-started`: follows docs/getting-started.md word by word in a clean folder, and says how long that
 * took. Files are written as the page has them, commands run as it has them; what it says that they write is compared. One
 * thing is other than for a reader: the package is installed from its tarball. Ports 3000 and 8500 must be free.
 */
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** The shell that reads the fourth terminal's commands has no state but its folder. */
class Reader {
  private folder: string;
  private readonly terminals = new Map<string, { readonly process: ChildProcess; output: string }>();
  private last = '';

  constructor(
    private readonly home: string,
    private readonly tarball: string,
    private readonly environment: NodeJS.ProcessEnv,
  ) {
    this.folder = home;
  }

  async follow(block: Block, expected: string | undefined): Promise<void> {
    const { language, text, file, terminal } = block;
    if (file !== undefined) {
      const path = join(this.folder, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `${text}\n`);
    } else if (terminal !== undefined) {
      await (text === '^C' ? this.interrupt(terminal) : this.open(terminal, text));
    } else if (language === 'sh') {
      await this.type(block, expected);
    } else if (!block.output) throw new Error(`${where(block)}: nobody knows what to do with this`);
  }

  /** Ends what still runs, for a page that failed. */
  end(): void {
    for (const { process } of this.terminals.values()) process.kill('SIGKILL');
  }

  get said(): string {
    return [...this.terminals]
      .map(([name, { output }]) => `--- terminal ${name}\n${output.split('\n').slice(-20).join('\n')}`)
      .join('\n');
  }

  private async type(block: Block, expected: string | undefined): Promise<void> {
    const command = block.text.replace(/ nestjs-service-discovery$/m, ` ${this.tarball}`);
    // A folder is entered for good.
    const entered = /cd (\S+)/.exec(command)?.[1];
    for (let tries = 1; ; tries++) {
      try {
        this.last = execFileSync('bash', ['-euc', command], {
          cwd: this.folder,
          env: this.environment,
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe'],
        }).trim();
        if (expected !== undefined && !fits(this.last, expected)) throw new Error(`it writes ${this.last}`);
        if (this.last.includes('failed')) throw new Error(this.last);
        break;
      } catch (error) {
        // A page that never comes true ends by hand, or by the run's own limit.
        if (!block.eventually || tries > 300)
          throw new Error(`${where(block)}: ${(error as Error).message}`, { cause: error });
        await sleep(100);
      }
    }
    if (entered !== undefined) this.folder = join(this.folder, entered);
  }

  private async open(terminal: string, command: string): Promise<void> {
    const [program = '', ...given] = command.split(' ');
    const process = spawn(program, given, { cwd: this.folder, env: this.environment });
    const here = { process, output: '' };
    for (const stream of [process.stdout, process.stderr]) stream.on('data', (chunk) => (here.output += String(chunk)));
    this.terminals.set(terminal, here);
    // As a reader does: until it says that it has started.
    const started = /is registered at|agent: Synced node info|agent: Node info in sync/;
    while (!started.test(here.output)) {
      if (process.exitCode !== null) throw new Error(`${command} has ended\n${here.output}`);
      await sleep(50);
    }
  }

  private async interrupt(terminal: string): Promise<void> {
    const process = this.terminals.get(terminal)?.process;
    if (process === undefined) throw new Error(`nothing runs in terminal ${terminal}`);
    const ended = new Promise((resolve) => process.once('exit', (...how) => resolve(how)));
    process.kill('SIGINT');
    const [code] = (await ended) as [number];
    if (code !== 0 && process.spawnfile === 'node')
      throw new Error(`terminal ${terminal} ended with ${code}\n${this.said}`);
  }
}

const where = ({ page, line }: Block): string => `${page}:${line}`;

/** Whether a command wrote what the page has, in which `…` stands for anything. */
function fits(written: string, expected: string): boolean {
  const parts = expected.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('[^]*')}$`).test(written);
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.once('connect', () => socket.destroy()).once('error', () => resolve(false));
  });
}

async function main(): Promise<void> {
  for (const port of [3000, 8500]) if (await isTaken(port)) throw new Error(`port ${port} is taken`);
  const home = mkdtempSync(join(tmpdir(), 'nsd-getting-started-'));
  const { path: tarball } = await packTarball(home);
  // Nothing of this run's own npm, and a temporary folder of its own: the local backend's processes meet there.
  const clean = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|CONSUL_|SERVICE_)/.test(name));
  const environment = {
    ...Object.fromEntries(clean),
    TMPDIR: home,
    PATH: [dirname((await program()).path), process.env['PATH']].join(delimiter),
  };
  const reader = new Reader(home, tarball, environment);
  const begun = Date.now();
  try {
    const { blocks } = readPage('docs/getting-started.md');
    for (const [index, block] of blocks.entries()) {
      const next = blocks[index + 1];
      const at = Date.now();
      await reader.follow(block, next?.output === true ? next.text : undefined);
      const what = block.file ?? block.text.split('\n')[0] ?? '';
      say(
        `${((Date.now() - at) / 1000).toFixed(1).padStart(5)} s  ${block.terminal === undefined ? '' : `[${block.terminal}] `}${what}`,
      );
    }
    say(`getting started: ${((Date.now() - begun) / 1000).toFixed(0)} s, without the reading`);
  } catch (error) {
    say(reader.said);
    throw error;
  } finally {
    reader.end();
    rmSync(home, { recursive: true, force: true });
  }
}

await main();
