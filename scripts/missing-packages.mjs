import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/**
 * @typedef {{ os?: string[], cpu?: string[], libc?: string[], optionalDependencies?: Record<string, string> }} Locked
 * @typedef {{ platform: string, arch: string }} Machine
 */

/** @param {string[] | undefined} allowed @param {string} value */
function admits(allowed, value) {
  return allowed === undefined || allowed.includes(value);
}

function libc() {
  // Otherwise it looks up the names of all peers.
  Object.assign(process.report, { excludeNetwork: true });
  const report = JSON.stringify(process.report.getReport());
  return report.includes('"glibcVersionRuntime"') ? 'glibc' : 'musl';
}

/** @param {Locked} locked @param {Machine} machine */
function isFor({ os, cpu, libc: needed }, { platform, arch }) {
  if (!admits(os, platform) || !admits(cpu, arch)) return false;
  return needed === undefined || platform !== 'linux' || needed.includes(libc());
}

/**
 * Where Node would find `name` from the folder of `from`: there, or in a folder above it.
 * @param {Record<string, Locked>} packages @param {string} from @param {string} name
 */
function resolve(packages, from, name) {
  const folders = [from];
  for (let at = from.lastIndexOf('/node_modules/'); at > 0; at = from.lastIndexOf('/node_modules/', at - 1)) {
    folders.push(from.slice(0, at));
  }
  return [...folders.map((folder) => `${folder}/node_modules/${name}`), `node_modules/${name}`].find(
    (path) => path in packages,
  );
}

/**
 * Packages for this machine that npm treats as optional and that are missing: npm silently drops one when its
 * install script fails. A package counts only when a package that asks for it is installed.
 * @param {string} root @param {Machine} machine @returns {string[]}
 */
export function findMissing(root = ROOT, machine = process) {
  const lockFile = join(root, 'package-lock.json');
  if (!existsSync(lockFile)) return [];
  /** @type {Record<string, Locked>} */
  const packages = JSON.parse(readFileSync(lockFile, 'utf8')).packages;
  /** @param {string} path */
  const isThere = (path) => existsSync(join(root, path, 'package.json'));
  const missing = new Set();
  for (const [path, { optionalDependencies }] of Object.entries(packages)) {
    if (optionalDependencies === undefined || !isThere(path)) continue;
    for (const name of Object.keys(optionalDependencies)) {
      const found = resolve(packages, path, name);
      const locked = found === undefined ? undefined : packages[found];
      if (found !== undefined && locked && !isThere(found) && isFor(locked, machine)) missing.add(name);
    }
  }
  return [...missing];
}
