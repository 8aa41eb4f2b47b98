// The process that owns the servers. It outlives whoever asked for them by exactly the time it takes to kill them: its
// stdin is a pipe to the owner, and when that pipe ends, for whatever reason (SIGKILL included), every server is killed
// and every folder removed. Plain JavaScript, so that node runs it as it is, without a loader.
//
// Requests come as JSON lines on stdin, answers and news leave as JSON lines on stdout:
//   { id, type: 'spawn', command, args, env, cwd, log }  ->  { id, pid } or { id, error }
//   { id, type: 'folder', path }    remove this folder at the end                  ->  { id }
//   { id, type: 'forget', path }    remove this folder now                         ->  { id } or { id, error }
//   { id, type: 'keep' }            survive the owner; SIGTERM ends it             ->  { id }
//   { exited: pid, code, signal }   news: a server has ended
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';

/** @type {Map<number, { ended: Promise<void> }>} */
const servers = new Map();
/** @type {Set<string>} */
const folders = new Set();
let keep = false;
let ending = false;

// The owner may be gone already when news is sent.
process.stdout.on('error', () => {});
const tell = (message) => void process.stdout.write(`${JSON.stringify(message)}\n`);

const removeFolder = (path) => rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });

/** Kills a whole process group: SIGKILL also ends what SIGSTOP has paused. */
function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself meanwhile.
  }
}

function start(request) {
  const log = openSync(request.log, 'a');
  const child = spawn(request.command, request.args, {
    cwd: request.cwd,
    env: request.env,
    detached: true, // a process group of its own, so that its children die with it
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const ended = new Promise((resolve) => {
    child.once('error', (error) => {
      tell({ id: request.id, error: error.message });
      resolve();
    });
    child.once('spawn', () => tell({ id: request.id, pid: child.pid }));
    child.once('exit', (code, signal) => {
      servers.delete(child.pid);
      killGroup(child.pid); // whatever it left behind
      tell({ exited: child.pid, code, signal });
      resolve();
    });
  });
  if (child.pid !== undefined) {
    servers.set(child.pid, { ended });
    if (ending) killGroup(child.pid);
  }
}

async function end() {
  if (ending) return;
  ending = true;
  const waiting = [...servers.values()].map((server) => server.ended);
  for (const pid of servers.keys()) killGroup(pid);
  await Promise.all(waiting);
  await Promise.allSettled([...folders].map(removeFolder));
  process.exit(0);
}

async function answer(request) {
  switch (request.type) {
    case 'spawn':
      return start(request);
    case 'folder':
      folders.add(request.path);
      return tell({ id: request.id });
    case 'forget':
      await removeFolder(request.path);
      folders.delete(request.path);
      return tell({ id: request.id });
    case 'keep':
      keep = true;
      return tell({ id: request.id });
    default:
      throw new Error(`unknown request ${request.type}`);
  }
}

const requests = createInterface({ input: process.stdin });
requests.on('line', (line) => {
  const request = JSON.parse(line);
  answer(request).catch((error) => tell({ id: request.id, error: String(error.message) }));
});
requests.on('close', () => {
  if (!keep) void end();
});
process.on('SIGTERM', () => void end());
// A terminal's Ctrl-C or hang-up is the owner's business; if it dies of it, stdin ends.
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});
// After keep and the end of stdin nothing else would hold this process.
setInterval(() => {}, 1 << 30);
