/**
 * Asks the service in this container. What calls it is a file without arguments: Podman's Docker API cuts the command of a health
 * check at its first space.
 * @param {string} path
 */
export async function ask(path) {
  const { ok } = await fetch(`http://127.0.0.1:${process.env.PORT}${path}`).catch(() => ({ ok: false }));
  process.exit(ok ? 0 : 1);
}
