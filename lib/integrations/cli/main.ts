#!/usr/bin/env node
import { runCommand } from './run-command.js';

void runCommand(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  isTerminal: process.stdout.isTTY,
  env: process.env,
}).then((status) => {
  // What keeps the process from ending is closed by now; a status is set, so that what was written is read to its end.
  process.exitCode = status;
});
