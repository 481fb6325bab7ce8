import { createRequire } from 'node:module';

// `npm ci --omit=dev` runs this without Vite: whoever installs only the service gets no console, and no failure.
const isThere = (name) => {
  try {
    return Boolean(createRequire(import.meta.url).resolve(name));
  } catch {
    return false;
  }
};

if (isThere('vite') && isThere('react')) {
  const { build } = await import('vite');
  await build({ root: import.meta.dirname, logLevel: 'warn' });
}
