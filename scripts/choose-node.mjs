import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED = 'Node 22.18, 24 or newer';
const PACKAGED = join(dirname(fileURLToPath(import.meta.url)), '../node_modules/node/bin/node');
const STARTS_WITHIN_MS = 10_000;

/**
 * @typedef {{ path: string, version: string }} Node
 * @typedef {{ path: string, flags: string[] } | { problem: string, isLeftOut: boolean }} Choice
 */

/** Whether a Node of this version runs TypeScript without a flag. @param {string} version */
export function runsTypeScript(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
}

/** The Node that runs npm, which is the machine's own: `node` alone finds the packaged one first. @returns {Node} */
function ownNode() {
  const version = /\bnode\/(v[\d.]+)/.exec(process.env.npm_config_user_agent ?? '')?.[1];
  const path = process.env.npm_node_execpath;
  return path && version ? { path, version } : { path: process.execPath, version: process.version };
}

/**
 * Returns its version, or the first line of its error if it does not start.
 * @param {string} path
 * @returns {{ version?: string, problem?: string }}
 */
function tryPackaged(path) {
  const { status, stdout, stderr, error } = spawnSync(path, ['--version'], {
    encoding: 'utf8',
    timeout: STARTS_WITHIN_MS,
  });
  if (status === 0) return { version: stdout.trim() };
  return { problem: error?.message ?? (stderr.trim().split('\n')[0] || `status ${status}`) };
}

/**
 * The machine's own Node where that runs TypeScript, else the packaged one.
 * @param {{ own?: Node, packaged?: string }} [from]
 * @returns {Choice} path and flags, or a sentence that says what to install
 */
export function chooseNode({ own = ownNode(), packaged = PACKAGED } = {}) {
  if (runsTypeScript(own.version)) return asChosen(own);
  if (!existsSync(packaged)) {
    return {
      problem: `Kohort needs ${NEEDED}, this is Node ${own.version}, and the Node that comes as a package is not installed. Install a newer Node, or run npm ci with its development dependencies.`,
      isLeftOut: true,
    };
  }
  const { version, problem } = tryPackaged(packaged);
  if (version !== undefined && runsTypeScript(version)) return asChosen({ path: packaged, version });
  return {
    problem: `Kohort needs ${NEEDED}, this is Node ${own.version}, and the Node that comes as a package does not start here (${problem ?? version}). Install a newer Node.`,
    isLeftOut: false,
  };
}

/** @param {Node} node */
function asChosen({ path, version }) {
  // Older versions print a warning about type stripping on stderr at each start.
  const isQuiet = Number(version.replace(/^v/, '').split('.')[0]) >= 25;
  return { path, flags: isQuiet ? [] : ['--disable-warning=ExperimentalWarning'] };
}
