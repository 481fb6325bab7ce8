// Starts everything that npm scripts start: `node scripts/run.mjs [flags of node] FILE [arguments]`. Plain JavaScript that
// Node 20 runs, because it chooses the Node that runs the TypeScript.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { exit } from 'node:process';
import { chooseNode } from './choose-node.mjs';
import { findMissing } from './missing-packages.mjs';

const ORPHAN_CHECK_EVERY_MS = 100;

/**
 * @param {string} sentence
 * @returns {never}
 */
function refuse(sentence) {
  process.stderr.write(`${sentence}\n`);
  exit(1);
}

const missing = findMissing();
if (missing.length > 0) {
  refuse(
    `npm left out ${missing.join(' and ')}, which this machine needs. Run npm ci again; npm ci --foreground-scripts shows why a package fails.`,
  );
}
const node = chooseNode();
const args = process.argv.slice(2);
// What npm runs after an installation: checks only. Without the development dependencies it may be installed by one Node and run
// by another.
const isAfterInstallation = args.length === 0;
if ('problem' in node) {
  if (isAfterInstallation && node.isLeftOut) process.stderr.write(`${node.problem}\n`);
  else refuse(node.problem);
}
if (isAfterInstallation || 'problem' in node) exit(0);

const child = spawn(node.path, [...node.flags, ...args], { stdio: 'inherit' });
child.once('error', (error) => refuse(`${node.path} cannot be started: ${error.message}`));
child.once('exit', (code, signal) => exit(signal ? 128 + constants.signals[signal] : (code ?? 1)));

let isStopping = false;
// A terminal sends these to the child as well.
const isAtTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
/** @type {NodeJS.Signals[]} */
const fromTerminal = ['SIGINT', 'SIGHUP', 'SIGQUIT'];
for (const signal of fromTerminal.filter((name) => name in constants.signals)) {
  process.on(signal, () => {
    isStopping = true;
    if (!isAtTerminal) child.kill(signal);
  });
}
process.on('SIGTERM', () => {
  isStopping = true;
  child.kill('SIGTERM');
});

// npm passes a signal to the shell between us only, which ends without passing it on.
if (process.env.npm_lifecycle_event !== undefined && process.platform !== 'win32') {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid === parent || isStopping) return;
    isStopping = true;
    child.kill('SIGTERM');
  }, ORPHAN_CHECK_EVERY_MS).unref();
}
