import { defineConfig } from 'vite';
import { precompress } from './precompress.ts';

/** Where `npm run dev -w web` sends what is not the console's own. */
const service = process.env.KOHORT_URL ?? 'http://localhost:8000';

export default defineConfig({
  // Relative addresses: the same build works below any path prefix, against the <base> of the page.
  base: './',
  plugins: [precompress()],
  build: {
    target: 'es2023',
    modulePreload: { polyfill: false },
    // Nothing as a `data:` address: the policy of the page allows none but for images.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 800,
    rolldownOptions: {
      onwarn(warning, warn) {
        // "use client" says nothing here: all of this runs in the browser.
        if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') warn(warning);
      },
    },
  },
  server: { proxy: { '/api': service, '/auth': service, '/ui/session': service } },
});
