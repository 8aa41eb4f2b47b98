import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { codeOf } from '../../model/index.js';

/** Which process wrote a record, so that others can tell whether it still runs. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When the process began, in the kernel's own unit; tells it from a later one with the same pid. Linux only. */
  readonly startedAt?: string;
  readonly hostname: string;
  /** Changes with every boot. Linux only. */
  readonly bootId?: string;
  /** Pids mean something within one of these only: containers have their own. Linux only. */
  readonly pidNamespace?: string;
}

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  const startedAt = statOf('self')?.startedAt;
  const bootId = attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  const pidNamespace = attempt(() => readlinkSync('/proc/self/ns/pid'));
  return Object.freeze({
    pid: process.pid,
    hostname: hostname(),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(bootId === undefined ? {} : { bootId }),
    ...(pidNamespace === undefined ? {} : { pidNamespace }),
  });
}

/**
 * True when the process certainly doesn't run any more. A process that can't be judged from here (another host, another
 * container) isn't gone: its lease decides.
 *
 * @param thorough also compares the time it began, and recognizes a zombie; costs one read of `/proc`
 */
export function isGone(identity: ProcessIdentity, own: ProcessIdentity, thorough: boolean): boolean {
  const comparable =
    identity.hostname === own.hostname && identity.bootId === own.bootId && identity.pidNamespace === own.pidNamespace;
  if (!comparable) return false;
  if (identity.pid === own.pid) return identity.startedAt !== own.startedAt;
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    // EPERM: it runs, as somebody else.
    return codeOf(error) === 'ESRCH';
  }
  if (!thorough) return false;
  const stat = statOf(String(identity.pid));
  if (stat === undefined) return false;
  return 'ZX'.includes(stat.state) || (identity.startedAt !== undefined && identity.startedAt !== stat.startedAt);
}

/** State and start of a process from `/proc/<pid>/stat`; undefined where there is none. */
function statOf(pid: string): { readonly state: string; readonly startedAt: string } | undefined {
  const line = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  // The second field is the program's name in parentheses, which may itself contain blanks and parentheses.
  const fields = line?.slice(line.lastIndexOf(')') + 2).split(' ');
  const [state, startedAt] = [fields?.[0], fields?.[19]];
  return state === undefined || startedAt === undefined ? undefined : { state, startedAt };
}

function attempt(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
